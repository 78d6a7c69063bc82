REVOKE UPDATE ON phone_numbers FROM patchbay_app;
DROP TABLE inbound_mappings;
