//! The knowledge base: files, their ingest, and search.

pub mod confinement;
mod embedding;
pub mod extraction;
pub mod extractor;
pub mod files;
pub mod highlights;
pub mod ingest;
mod ingest_error;
pub mod ingest_request;
pub mod object_sweep;
pub mod objects;
pub mod run_search;
pub mod search;
pub mod settings;
pub mod stages;
pub mod upload;
