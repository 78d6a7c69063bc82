-- Files are found by the beginning of their name, in any case. Agents, prompts, tools and runtime configs are few.
CREATE INDEX files_name ON files (tenant_id, lower(name) text_pattern_ops);
