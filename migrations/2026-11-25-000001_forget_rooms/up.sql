-- Erasing a session forgets the room of a call in, whose name tells who called.
GRANT DELETE ON rooms TO patchbay_app;
CREATE INDEX rooms_session ON rooms (tenant_id, session_id);
