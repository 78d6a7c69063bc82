DROP INDEX participants_identity;
DROP TABLE users;
