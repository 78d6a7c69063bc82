//! A model of the BERT family from a directory (`model.safetensors`, `tokenizer.json`, `config.json`), on
//! dedicated threads.
//!
//! Queries have a thread of their own; documents have others with a nice value, so that ingests do not slow
//! searches down. A panic fails its request, and the thread goes on with the next one.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use futures_util::future::BoxFuture;
use patchbay_domain::knowledge::Embedding;
use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::process::setpriority_process;
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};
use tokio::sync::{Semaphore, oneshot};

use crate::{Background, Embedder, Error, Model, Purpose, Result, unit};

/// Texts that are embedded at once.
const BATCH: usize = 8;
/// Maximum tokens of a text; the rest is truncated. The chunks of this project are shorter.
const LONGEST: usize = 256;
/// For tests: a model loaded with a fault panics on this text.
const FAULT: &str = "the planted fault";
/// Capacity of each queue.
const WAITING: usize = 64;

/// The local provider.
pub struct Local {
    model: Model,
    queries: Queue,
    documents: Queue,
}

struct Job {
    texts: Vec<String>,
    answer: oneshot::Sender<Result<Vec<Embedding>>>,
}

struct Queue {
    jobs: mpsc::Sender<Job>,
    room: Semaphore,
}

/// Loaded weights with their tokenizer.
struct Weights {
    bert: BertModel,
    tokenizer: Tokenizer,
    panics: bool,
}

pub(crate) fn tokenizer(folder: &Path) -> Result<Tokenizer> {
    let file = folder.join("tokenizer.json");
    let read = Tokenizer::from_file(&file);
    read.map_err(|error| Error::Refused(format!("{}: {error}", file.display())))
}

impl Local {
    /// Loads the model in `folder`; documents are embedded by `background` threads.
    pub fn load(folder: &Path, background: Background) -> Result<Self> {
        Self::start(folder, background, Weights::load(folder)?)
    }

    /// For tests: the same, but it panics on the text "the planted fault".
    pub fn load_with_fault(folder: &Path, background: Background) -> Result<Self> {
        let mut weights = Weights::load(folder)?;
        weights.panics = true;
        Self::start(folder, background, weights)
    }

    fn start(folder: &Path, background: Background, weights: Weights) -> Result<Self> {
        let folder_name = folder.file_name().unwrap_or_default().to_string_lossy();
        let weights = Arc::new(weights);
        let dimensions = weights.embed(&[String::new()]).map_err(unusable)?;
        let dimensions = dimensions.first().map_or(0, |embedding| embedding.0.len());
        Ok(Self {
            model: Model {
                name: format!("local/{folder_name}/{dimensions}"),
                batch: BATCH,
            },
            queries: Queue::start(&weights, 1, None)?,
            documents: Queue::start(&weights, background.threads.max(1), Some(background.nice))?,
        })
    }
}

impl Embedder for Local {
    fn model(&self) -> &Model {
        &self.model
    }

    fn embed(&self, texts: Vec<String>, purpose: Purpose) -> BoxFuture<'_, Result<Vec<Embedding>>> {
        let queue = match purpose {
            Purpose::Query => &self.queries,
            Purpose::Document => &self.documents,
        };
        Box::pin(async move {
            // A search fails at once if the queue is full; files can wait.
            let room = match purpose {
                Purpose::Query => queue.room.try_acquire().map_err(|_| Error::Busy)?,
                Purpose::Document => queue.room.acquire().await.map_err(|_| Error::Busy)?,
            };
            let (answer, answered) = oneshot::channel();
            let sent = queue.jobs.send(Job { texts, answer });
            sent.map_err(|_| Error::Unavailable("the model's threads have ended".to_owned()))?;
            let outcome = answered.await.map_err(|_| Error::Panicked)?;
            drop(room);
            outcome
        })
    }
}

impl Queue {
    fn start(weights: &Arc<Weights>, threads: usize, nice: Option<i32>) -> Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let (weights, waiting) = (Arc::clone(weights), Arc::clone(&waiting));
            let pool = pool(nice)?;
            // A panic drops the job's channel, which fails the request.
            let lives = move || {
                let work = || work(&weights, &waiting, &pool);
                while catch_unwind(AssertUnwindSafe(work)).is_err() {}
            };
            let thread = thread::Builder::new().name("embedding-model".to_owned());
            thread.spawn(lives).map_err(unstarted)?;
        }
        Ok(Self {
            jobs,
            room: Semaphore::new(WAITING),
        })
    }
}

fn unstarted(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!(
        "a thread of the model could not be started: {error}"
    ))
}

/// A pool of one thread, as the matrix multiplication would use all cores.
fn pool(nice: Option<i32>) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(1);
    let pool = pool.thread_name(|_| "embedding-model".to_owned());
    let pool = pool.start_handler(move |_| {
        // On Linux this is the nice value of the calling thread alone.
        let set = nice.map(|nice| setpriority_process(None, nice));
        if let Some(Err(error)) = set {
            tracing::warn!(%error, "the nice value of a thread of the model could not be set");
        }
    });
    pool.build().map_err(unstarted)
}

/// Takes jobs until the queue is closed.
fn work(weights: &Weights, waiting: &Mutex<mpsc::Receiver<Job>>, pool: &ThreadPool) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = next else { return };
        // The request was dropped.
        if job.answer.is_closed() {
            continue;
        }
        let embed = || {
            let batches = job.texts.chunks(BATCH).map(|batch| weights.embed(batch));
            let batches: std::result::Result<Vec<_>, _> = batches.collect();
            batches.map(|batches| batches.into_iter().flatten().collect())
        };
        let outcome = pool.install(embed).map_err(unusable);
        let _ = job.answer.send(outcome);
    }
}

fn unusable(error: candle_core::Error) -> Error {
    Error::Refused(error.to_string())
}

impl Weights {
    fn load(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let file = folder.join(name);
            let bytes = fs::read(&file);
            bytes.map_err(|error| Error::Refused(format!("{}: {error}", file.display())))
        };
        let config: Config = serde_json::from_slice(&read("config.json")?)
            .map_err(|error| Error::Refused(format!("config.json: {error}")))?;
        let mut tokenizer = tokenizer(folder)?;
        tokenizer.with_padding(Some(PaddingParams::default()));
        let cut = TruncationParams {
            max_length: LONGEST.min(config.max_position_embeddings),
            ..TruncationParams::default()
        };
        let cut = tokenizer.with_truncation(Some(cut));
        cut.map_err(|error| Error::Refused(error.to_string()))?;
        let weights = read("model.safetensors")?;
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu);
        let bert = BertModel::load(weights.map_err(unusable)?, &config).map_err(unusable)?;
        Ok(Self {
            bert,
            tokenizer,
            panics: false,
        })
    }

    /// The mean of the tokens' states, without padding.
    fn embed(&self, texts: &[String]) -> candle_core::Result<Vec<Embedding>> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if self.panics && texts.iter().any(|text| text.contains(FAULT)) {
            panic!("a planted fault");
        }
        let encoded = self.tokenizer.encode_batch_fast(texts, true);
        let encoded = encoded.map_err(candle_core::Error::wrap)?;
        let count = encoded.len();
        let length = encoded.first().map_or(0, tokenizers::Encoding::len);
        let flat = |part: fn(&tokenizers::Encoding) -> &[u32]| {
            let all: Vec<u32> = encoded
                .iter()
                .flat_map(|e| part(e).iter().copied())
                .collect();
            Tensor::from_vec(all, (count, length), &Device::Cpu)
        };
        let ids = flat(tokenizers::Encoding::get_ids)?;
        let mask = flat(tokenizers::Encoding::get_attention_mask)?;
        let states = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let weight = mask.to_dtype(DType::F32)?.unsqueeze(D::Minus1)?;
        let sum = states.broadcast_mul(&weight)?.sum(1)?;
        let mean = sum.broadcast_div(&weight.sum(1)?)?;
        Ok(mean.to_vec2()?.into_iter().map(unit).collect())
    }
}
