//! Counters in memory that are stored every few seconds: the use of API keys, searches, and the seconds of work
//! of the embedding model.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use patchbay_domain::{ApiKeyId, TenantId};

/// Usage since the counters were last stored.
#[derive(Default)]
pub struct Counters {
    used_keys: Mutex<HashSet<ApiKeyId>>,
    knowledge: Mutex<HashMap<TenantId, KnowledgeUse>>,
}

/// A tenant's use of knowledge search.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnowledgeUse {
    /// Number of searches.
    pub searches: i64,
    /// Seconds of work of the embedding model.
    pub embedding_seconds: f64,
}

impl Counters {
    /// Records that an API key was used.
    pub fn record_key_use(&self, id: ApiKeyId) {
        lock(&self.used_keys).insert(id);
    }

    /// Adds a tenant's use of knowledge search.
    pub fn record_knowledge_use(&self, tenant: TenantId, used: KnowledgeUse) {
        let mut all = lock(&self.knowledge);
        let sum = all.entry(tenant).or_default();
        sum.searches += used.searches;
        sum.embedding_seconds += used.embedding_seconds;
    }

    /// Returns and resets the keys used since the last call.
    pub fn take_keys(&self) -> HashSet<ApiKeyId> {
        std::mem::take(&mut *lock(&self.used_keys))
    }

    /// Returns and resets the use of knowledge search since the last call.
    pub fn take_knowledge(&self) -> HashMap<TenantId, KnowledgeUse> {
        std::mem::take(&mut *lock(&self.knowledge))
    }
}

/// Locks a counter. Poisoning is ignored, since a counter is consistent at every point at which a panic can occur.
fn lock<T>(counter: &Mutex<T>) -> MutexGuard<'_, T> {
    counter.lock().unwrap_or_else(PoisonError::into_inner)
}
