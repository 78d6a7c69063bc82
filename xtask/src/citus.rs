//! A given Citus cluster, for the tests of distributed tables.

use std::env;

use anyhow::{Context as _, Result};

use crate::tools::Tools;

/// The variable with its URL.
const VARIABLE: &str = "PATCHBAY_TEST_CITUS_URL";
/// How to get one.
pub const MISSING: &str =
    "PATCHBAY_TEST_CITUS_URL is not set (URL of a superuser of a database with Citus and pgvector)";
/// The password of the two roles, on a server for tests.
const PASSWORD: &str = "patchbay-test";

/// URLs of the database's roles.
pub struct Citus {
    /// The owner, who is no superuser: row-level security holds for it.
    pub owner_url: String,
    /// The application.
    pub url: String,
}

/// The URL of the given one.
pub fn given() -> Option<String> {
    env::var(VARIABLE).ok().filter(|url| !url.is_empty())
}

/// Makes the extensions, roles and settings that a superuser must make.
pub fn prepare(tools: &Tools, url: &str) -> Result<Citus> {
    let prepare = format!(
        "CREATE EXTENSION IF NOT EXISTS citus; CREATE EXTENSION IF NOT EXISTS vector;
         DO $$ BEGIN
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'patchbay_app') THEN
                 CREATE ROLE patchbay_app;
             END IF;
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'patchbay_test_owner') THEN
                 CREATE ROLE patchbay_test_owner;
             END IF;
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'patchbay_test_app') THEN
                 CREATE ROLE patchbay_test_app IN ROLE patchbay_app;
             END IF;
             EXECUTE format('ALTER DATABASE %I SET citus.propagate_set_commands = ''local''', current_database());
             EXECUTE format('GRANT CREATE ON DATABASE %I TO patchbay_test_owner', current_database());
         END $$;
         ALTER ROLE patchbay_test_owner LOGIN PASSWORD '{PASSWORD}';
         ALTER ROLE patchbay_test_app LOGIN PASSWORD '{PASSWORD}';
         ALTER ROLE patchbay_test_owner SET citus.shard_count = 2;
         ALTER ROLE patchbay_test_app SET citus.multi_task_query_log_level = 'error';
         DELETE FROM pg_dist_authinfo WHERE rolename IN ('patchbay_test_owner', 'patchbay_test_app');
         INSERT INTO pg_dist_authinfo (nodeid, rolename, authinfo)
         VALUES (0, 'patchbay_test_owner', 'password={PASSWORD}'), (0, 'patchbay_test_app', 'password={PASSWORD}')"
    );
    tools.psql(url, &prepare).context(VARIABLE)?;
    let role = |name: &str| -> Result<String> {
        let (scheme, rest) = url.split_once("://").context(VARIABLE)?;
        let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
        Ok(format!("{scheme}://{name}:{PASSWORD}@{server}"))
    };
    Ok(Citus {
        owner_url: role("patchbay_test_owner")?,
        url: role("patchbay_test_app")?,
    })
}
