//! What is counted in memory and written down every few seconds: the use of API keys, searches, and the
//! seconds that the embedding model worked.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use patchbay_domain::{ApiKeyId, TenantId};

/// What was used since it was last written down.
#[derive(Default)]
pub struct Counters {
    used_keys: Mutex<HashSet<ApiKeyId>>,
    knowledge: Mutex<HashMap<TenantId, KnowledgeUse>>,
}

/// What a tenant has searched and embedded.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnowledgeUse {
    /// Searches.
    pub searches: i64,
    /// Seconds that the model worked.
    pub embedding_seconds: f64,
}

impl Counters {
    /// Notes that a key was used.
    pub fn note_key(&self, id: ApiKeyId) {
        locked(&self.used_keys).insert(id);
    }

    /// Adds what a tenant has searched and embedded.
    pub fn note_knowledge(&self, tenant: TenantId, used: KnowledgeUse) {
        let mut all = locked(&self.knowledge);
        let sum = all.entry(tenant).or_default();
        sum.searches += used.searches;
        sum.embedding_seconds += used.embedding_seconds;
    }

    /// The keys used since the last call.
    pub fn take_keys(&self) -> HashSet<ApiKeyId> {
        std::mem::take(&mut *locked(&self.used_keys))
    }

    /// What was searched and embedded since the last call.
    pub fn take_knowledge(&self) -> HashMap<TenantId, KnowledgeUse> {
        std::mem::take(&mut *locked(&self.knowledge))
    }
}

/// What is counted is whole at every point, also where somebody has panicked.
fn locked<T>(counted: &Mutex<T>) -> MutexGuard<'_, T> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}
