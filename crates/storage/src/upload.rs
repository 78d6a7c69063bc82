//! Uploads.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{
    MultipartUpload, ObjectStoreExt as _, PutPayload, PutPayloadMut,
    aws::AmazonS3,
    multipart::{MultipartStore as _, PartId},
    path::Path,
};
use sha2::{Digest as _, Sha256};

use crate::{
    error::Result,
    store::{Kind, Store},
};

/// Size of one part; the minimum of S3 is 5 MiB.
const PART: usize = 8 << 20;
/// Bytes of the beginning that are kept to detect the kind of the file.
const HEAD: usize = 8 << 10;

/// An upload in progress. Dropped, it leaves nothing in a directory; in a bucket it leaves parts that
/// [`Store::abandon`] cleans up.
pub struct Upload {
    store: Store,
    key: Path,
    part: PutPayloadMut,
    parts: Parts,
    size: u64,
    hash: Sha256,
    head: Vec<u8>,
}

enum Parts {
    /// It may still fit into one part.
    None,
    Staged(Box<dyn MultipartUpload>),
    S3(Arc<AmazonS3>, String, Vec<PartId>),
}

/// A finished upload.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
    /// The first bytes.
    pub head: Vec<u8>,
}

impl Store {
    /// Begins an upload. The key does not exist before it is finished.
    pub fn upload(&self, key: &str) -> Upload {
        Upload::new(self.clone(), Path::from(key))
    }
}

impl Upload {
    fn new(store: Store, key: Path) -> Self {
        Self {
            store,
            key,
            part: PutPayloadMut::new(),
            parts: Parts::None,
            size: 0,
            hash: Sha256::new(),
            head: Vec::new(),
        }
    }

    /// Bytes written so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Writes the next bytes. Returns the id of a multipart upload that has just begun: store it for
    /// [`Store::abandon`] before writing more.
    pub async fn write(&mut self, bytes: Bytes) -> Result<Option<String>> {
        self.size += bytes.len() as u64;
        self.hash.update(&bytes);
        let missing = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend(bytes.iter().take(missing));
        let mut begun = None;
        if self.part.content_length() + bytes.len() > PART {
            if matches!(self.parts, Parts::None) {
                begun = self.begin_parts().await?;
            } else {
                self.flush().await?;
            }
        }
        self.part.push(bytes);
        Ok(begun)
    }

    async fn begin_parts(&mut self) -> Result<Option<String>> {
        match &self.store.kind {
            Kind::Directory(_) => {
                let staged = self.store.objects.put_multipart(&self.key).await?;
                self.parts = Parts::Staged(staged);
                Ok(None)
            }
            Kind::S3(s3) => {
                let id = s3.create_multipart(&self.key).await?;
                self.parts = Parts::S3(Arc::clone(s3), id.clone(), Vec::new());
                Ok(Some(id))
            }
        }
    }

    async fn flush(&mut self) -> Result<()> {
        let part: PutPayload = std::mem::take(&mut self.part).freeze();
        match &mut self.parts {
            Parts::None => {
                self.store.objects.put(&self.key, part).await?;
            }
            Parts::Staged(staged) => staged.put_part(part).await?,
            Parts::S3(s3, id, done) => {
                let part = s3.put_part(&self.key, id, done.len(), part).await?;
                done.push(part);
            }
        }
        Ok(())
    }

    /// Finishes the upload; the object exists from now on.
    pub async fn finish(mut self) -> Result<Stored> {
        self.flush().await?;
        match self.parts {
            Parts::None => {}
            Parts::Staged(mut staged) => {
                staged.complete().await?;
            }
            Parts::S3(s3, id, done) => {
                s3.complete_multipart(&self.key, &id, done).await?;
            }
        }
        Ok(Stored {
            size: self.size,
            sha256: self.hash.finalize().into(),
            head: self.head,
        })
    }
}
