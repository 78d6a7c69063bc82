//! Downloads.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use object_store::{GetOptions, GetResultPayload, ObjectStore, path::Path};

use crate::{
    error::{Error, Result},
    store::Store,
};

/// Bytes that are read from a file at a time.
const BLOCK: usize = 256 << 10;

/// The bytes, block by block.
pub type Download = BoxStream<'static, Result<Bytes>>;

impl Store {
    /// The object's bytes from `from` on, `length` of them.
    pub async fn download(&self, key: &str, from: u64, length: u64) -> Result<Download> {
        open(&*self.objects, &Path::from(key), from, length).await
    }
}

async fn open(objects: &dyn ObjectStore, key: &Path, from: u64, length: u64) -> Result<Download> {
    if length == 0 {
        return Ok(stream::empty().boxed());
    }
    let options = GetOptions::new().with_range(Some(from..from + length));
    let found = objects.get_opts(key, options).await?;
    Ok(match found.payload {
        // The crate's own stream reads blocks of 8 KiB, each on another thread.
        GetResultPayload::File(file, _) => blocks(file, from, length),
        GetResultPayload::Stream(bytes) => bytes.map_err(Error::from).boxed(),
    })
}

fn blocks(file: File, from: u64, length: u64) -> Download {
    stream::try_unfold((file, from, length), |(file, from, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || block(file, from, left)).await;
        let read = read.map_err(|error| Error::Unavailable(error.to_string()))?;
        let (file, bytes) = read.map_err(|error| Error::Unavailable(error.to_string()))?;
        let count = bytes.len() as u64;
        Ok(Some((bytes, (file, from + count, left - count))))
    })
    .boxed()
}

fn block(mut file: File, from: u64, left: u64) -> std::io::Result<(File, Bytes)> {
    let size = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
    let mut bytes = vec![0; size];
    file.seek(SeekFrom::Start(from))?;
    file.read_exact(&mut bytes)?;
    Ok((file, bytes.into()))
}
