"""Names that everybody knows: short codes of services, popular apps and sites.

Kept true here: their order is part of the draw; a name is only ever added at the end.
"""

from __future__ import annotations

SERVICE_SHORT = (
    "110", "96110", "12381", "12345", "10086", "10010", "10000", "11185", "95338", "95546", "95311", "95118", "95188",
    "12306", "95519", "95511",
)  # fmt: skip
POPULAR_APPS: tuple[tuple[str, str], ...] = (
    ("微信", "com.tencent.mm"),
    ("支付宝", "com.eg.android.AlipayGphone"),
    ("抖音", "com.ss.android.ugc.aweme"),
    ("淘宝", "com.taobao.taobao"),
    ("拼多多", "com.xunmeng.pinduoduo"),
    ("京东", "com.jingdong.app.mall"),
    ("QQ", "com.tencent.mobileqq"),
    ("快手", "com.smile.gifmaker"),
    ("美团", "com.sankuai.meituan"),
    ("高德地图", "com.autonavi.minimap"),
    ("百度", "com.baidu.searchbox"),
    ("小红书", "com.xingin.xhs"),
    ("哔哩哔哩", "tv.danmaku.bili"),
    ("今日头条", "com.ss.android.article.news"),
    ("网易云音乐", "com.netease.cloudmusic"),
    ("滴滴出行", "com.sdu.didi.psnger"),
    ("饿了么", "me.ele"),
    ("钉钉", "com.alibaba.android.rimet"),
    ("腾讯会议", "com.tencent.wemeet.app"),
    ("企业会议", "com.meeting.enterprise"),
    ("微博", "com.sina.weibo"),
    ("铁路12306", "com.MobileTicket"),
    ("国家反诈中心", "com.hicorenational.antifraud"),
    ("工商银行", "com.icbc"),
    ("建设银行", "com.chinamworld.main"),
    ("农业银行", "com.android.bankabc"),
    ("招商银行", "cmb.pb"),
    ("云闪付", "com.unionpay"),
    ("喜马拉雅", "com.ximalaya.ting.android"),
    ("闲鱼", "com.taobao.idlefish"),
)
POPULAR_SITES = (
    "www.baidu.com", "m.weibo.cn", "www.taobao.com", "m.jd.com", "www.qq.com", "www.163.com", "www.douyin.com",
    "www.bilibili.com", "m.toutiao.com", "www.zhihu.com", "map.baidu.com", "www.12306.cn", "www.pinduoduo.com",
    "www.meituan.com", "www.ctrip.com", "www.sohu.com", "mail.qq.com", "www.icbc.com.cn", "www.ccb.com", "www.gov.cn",
    "www.xiaohongshu.com", "api.weixin.qq.com", "cdn.alicdn.com", "img.360buyimg.com", "v.qq.com", "music.163.com",
    "www.kuaishou.com", "www.csdn.net", "www.58.com", "www.ke.com",
)  # fmt: skip
