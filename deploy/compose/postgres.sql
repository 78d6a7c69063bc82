-- Runs once, as the superuser, when PostgreSQL's volume is still empty. Changing a password later takes ALTER ROLE.
\getenv owner_password POSTGRES_OWNER_PASSWORD
\getenv app_password POSTGRES_APP_PASSWORD

CREATE ROLE patchbay_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE patchbay_app LOGIN PASSWORD :'app_password';
CREATE DATABASE patchbay OWNER patchbay_owner;
\connect patchbay
CREATE EXTENSION vector;
