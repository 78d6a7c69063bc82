-- W3C trace context of the request that has last scheduled the job.
ALTER TABLE jobs ADD COLUMN traceparent text;
