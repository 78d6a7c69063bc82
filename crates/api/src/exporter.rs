//! Exporters of traces and metrics that survive panics. A panic would otherwise end the exporter's thread, and nothing more
//! would be exported until the service is restarted.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SpanData, SpanExporter},
};

use patchbay_service::panics::catch_panic;

/// Wraps an exporter and replaces it by a new one after a panic.
pub struct ResilientExporter<E, M> {
    make: M,
    exporter: Mutex<Arc<E>>,
    resource: Option<Resource>,
}

impl<E: SpanExporter, M: Fn() -> anyhow::Result<E>> ResilientExporter<E, M> {
    /// Creates the wrapper with its first exporter.
    pub fn new(make: M) -> anyhow::Result<Self> {
        let exporter = Mutex::new(Arc::new(make()?));
        Ok(Self {
            make,
            exporter,
            resource: None,
        })
    }

    fn current(&self) -> Arc<E> {
        let exporter = self.exporter.lock();
        Arc::clone(&exporter.unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self) -> anyhow::Result<()> {
        let mut exporter = (self.make)()?;
        if let Some(resource) = &self.resource {
            exporter.set_resource(resource);
        }
        *self.exporter.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(exporter);
        Ok(())
    }
}

impl<E, M> fmt::Debug for ResilientExporter<E, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResilientExporter")
    }
}

impl<E, M> SpanExporter for ResilientExporter<E, M>
where
    E: SpanExporter + 'static,
    M: Fn() -> anyhow::Result<E> + Send + Sync,
{
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = self.current();
        let exported = catch_panic(async { exporter.export(batch).await }).await;
        exported.unwrap_or_else(|panicked| {
            let replaced = self.replace();
            let message =
                replaced.map_or_else(|error| format!("{error:#}"), |()| panicked.to_string());
            Err(OTelSdkError::InternalFailure(message))
        })
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.current().shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.current().force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = Some(resource.clone());
        // No export has begun yet.
        let exporter = self.exporter.get_mut();
        let exporter = exporter.unwrap_or_else(PoisonError::into_inner);
        if let Some(exporter) = Arc::get_mut(exporter) {
            exporter.set_resource(resource);
        }
    }
}

/// Wraps an exporter of metrics, which keeps no state between two exports.
pub struct ResilientMetrics<E>(pub E);

impl<E: PushMetricExporter> PushMetricExporter for ResilientMetrics<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let exported = catch_panic(async { self.0.export(metrics).await }).await;
        exported.unwrap_or_else(|panicked| Err(OTelSdkError::InternalFailure(panicked.to_string())))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.0.temporality()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// The first instance panics.
    #[derive(Debug)]
    struct Fragile(u32, Arc<Mutex<Vec<Resource>>>);

    impl SpanExporter for Fragile {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            assert_ne!(self.0, 0, "a deliberate panic");
            Ok(())
        }
        fn set_resource(&mut self, resource: &Resource) {
            self.1.lock().unwrap().push(resource.clone());
        }
    }

    #[tokio::test]
    async fn a_panic_loses_a_batch_and_not_those_that_follow() {
        let (made, resources) = (AtomicU32::new(0), Arc::default());
        let make = || {
            let number = made.fetch_add(1, Ordering::Relaxed);
            Ok(Fragile(number, Arc::clone(&resources)))
        };
        let mut exporter = ResilientExporter::new(make).unwrap();
        let resource = Resource::builder().with_service_name("test").build();
        exporter.set_resource(&resource);
        assert!(exporter.export(Vec::new()).await.is_err());
        assert!(exporter.export(Vec::new()).await.is_ok());
        let resources = resources.lock().unwrap();
        assert_eq!(
            *resources,
            [resource.clone(), resource],
            "each exporter has the resource"
        );
    }

    /// The first export panics.
    struct FragileMetrics(AtomicU32);

    impl PushMetricExporter for FragileMetrics {
        async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            assert_ne!(number, 0, "a deliberate panic");
            Ok(())
        }
        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }
        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
        fn temporality(&self) -> Temporality {
            Temporality::Cumulative
        }
    }

    #[tokio::test]
    async fn a_panic_loses_one_export_of_metrics() {
        let exporter = ResilientMetrics(FragileMetrics(AtomicU32::new(0)));
        let metrics = ResourceMetrics::default();
        assert!(exporter.export(&metrics).await.is_err());
        assert!(exporter.export(&metrics).await.is_ok());
    }
}
