//! Tests with a directory; S3 is tested with a real server in the tests of the service.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use std::path::PathBuf;

use super::*;

fn folder() -> PathBuf {
    let name = format!("patchbay-storage-{}", std::process::id());
    std::env::temp_dir().join(name)
}

async fn all(store: &Store, key: &str, from: u64, length: u64) -> Vec<u8> {
    let blocks = store.download(key, from, length).await.unwrap();
    let blocks: Vec<Bytes> = blocks.try_collect().await.unwrap();
    blocks.concat()
}

#[tokio::test]
async fn what_goes_in_comes_out_and_what_is_abandoned_leaves_nothing() {
    let folder = folder();
    let store = Store::new(&Settings::Directory(folder.clone())).unwrap();
    for size in [0, 1, 9 << 20, 20 << 20] {
        let bytes: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
        let mut upload = store.upload("a/b");
        for chunk in bytes.chunks(700_001) {
            upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        let stored = upload.finish().await.unwrap();
        assert_eq!(stored.size, size as u64);
        assert_eq!(
            stored.sha256,
            <[u8; 32]>::from(sha2::Digest::finalize(sha2::Digest::chain_update(
                <sha2::Sha256 as sha2::Digest>::new(),
                &bytes
            )))
        );
        assert!(all(&store, "a/b", 0, size as u64).await == bytes);
        if size > 1000 {
            assert_eq!(all(&store, "a/b", 500, 3).await, bytes[500..503]);
        }
    }
    // What a killed process leaves.
    std::fs::write(folder.join("a/c#1"), "half").unwrap();
    store.abandon("a/c", None).await.unwrap();
    assert!(!folder.join("a/c#1").exists());
    let found: Vec<Found> = store.list("a").try_collect().await.unwrap();
    assert_eq!(found.len(), 1);
    store.copy("a/b", "a/d").await.unwrap();
    store.delete("a/b").await.unwrap();
    store.delete("a/b").await.unwrap();
    assert!(store.exists("a/d").await.unwrap() && !store.exists("a/b").await.unwrap());
    assert!(matches!(
        store.download("a/b", 0, 1).await,
        Err(Error::NotFound)
    ));
    store.ping().await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}
