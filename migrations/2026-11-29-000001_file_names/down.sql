DROP INDEX files_name;
