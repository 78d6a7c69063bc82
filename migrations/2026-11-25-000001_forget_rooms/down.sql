DROP INDEX rooms_session;
REVOKE DELETE ON rooms FROM patchbay_app;
