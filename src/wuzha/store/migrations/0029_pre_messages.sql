-- ISO 20022 messages of orders, as they were sent to a bank and as they came from it.
-- Run as wuzha_owner.

SET LOCAL search_path = wuzha;

CREATE TABLE order_messages (
    order_id   bigint NOT NULL REFERENCES orders,
    sender     text NOT NULL,                          -- the bank's source, or the officer who laid its file before us
    message_id text NOT NULL,                          -- the sender's own number: it stands here once
    kind       text NOT NULL CHECK (kind IN ('camt.029')),
    at         timestamptz NOT NULL,
    digest     text NOT NULL,
    xml        text NOT NULL,
    PRIMARY KEY (order_id, kind, message_id)
);
ALTER TABLE order_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_messages FORCE ROW LEVEL SECURITY;
-- Seen with its order, and written by those whose case it is.
CREATE POLICY web ON order_messages FOR SELECT TO wuzha_web
    USING (EXISTS (SELECT 1 FROM wuzha.orders o WHERE o.order_id = order_messages.order_id));
CREATE POLICY web_insert ON order_messages FOR INSERT TO wuzha_web WITH CHECK (
    EXISTS (SELECT 1 FROM wuzha.orders o JOIN wuzha.cases k USING (case_id) WHERE o.order_id = order_messages.order_id
               AND k.unit_id IN (SELECT c.descendant FROM wuzha.unit_closure c
                                  WHERE c.ancestor = (SELECT wuzha.scope_unit()))));
GRANT SELECT, INSERT ON order_messages TO wuzha_web;
