DROP INDEX sessions_configuration;
DROP INDEX sessions_binding;
