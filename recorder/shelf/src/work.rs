//! The shelf's thread: brings each recording to the state that the configuration asks for, and
//! gives up what is not to be kept. What fails is tried again, later each time, for as long as it
//! takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, Interval, interval, sleep_until};

use crate::config::Retry;
use crate::document::Document;
use crate::encrypt::Encrypter;
use crate::mark::Mark;
use crate::outbox::{self, Outbox};
use crate::shelf::{Inside, now_unix_nanos};
use crate::status::Event;
use crate::upload::{Storage, Trouble};
use crate::webhook::Hook;

/// Recordings that are encrypted at a time, and as many that are uploaded: a storage that does not
/// answer leaves nothing in the clear.
const AT_A_TIME: usize = 4;

/// How often the rule of retention is applied.
const ROUND: Duration = Duration::from_secs(60);

/// What the thread is told.
pub(crate) enum Order {
    /// What an earlier run has left is as it will stay.
    Begin,
    /// This one is on the shelf.
    Finished(String),
    /// Nothing is written to this one any more.
    Durable(String),
    /// End.
    Stop,
}

/// What work is done with.
pub(crate) struct Tools {
    pub(crate) encrypter: Option<Encrypter>,
    pub(crate) storage: Option<Storage>,
    /// Whether recordings stay after their upload.
    pub(crate) keep: bool,
}

/// The thread's state.
pub(crate) struct Work {
    pub(crate) inside: Arc<Inside>,
    pub(crate) tools: Arc<Tools>,
    pub(crate) retry: Retry,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    /// Messages for all webhooks.
    pub(crate) announced: mpsc::Receiver<String>,
    /// The webhooks, until they run.
    pub(crate) hooks: Vec<Hook>,
    /// Where messages wait for each of them, once they run.
    pub(crate) outboxes: Vec<Outbox>,
    /// What is to be done, and when; the number says how often it failed.
    pub(crate) due: BTreeMap<String, (Instant, u32)>,
    /// Those of them of which nothing is left to be encrypted.
    pub(crate) sealed: BTreeSet<String>,
}

/// What is being worked on.
#[derive(Default)]
struct Running {
    encrypting: JoinSet<Done>,
    uploading: JoinSet<Done>,
}

/// What is done to a recording at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Encrypt,
    Upload,
}

impl Running {
    fn at(&mut self, step: Step) -> &mut JoinSet<Done> {
        match step {
            Step::Encrypt => &mut self.encrypting,
            Step::Upload => &mut self.uploading,
        }
    }
}

impl Work {
    /// Runs the thread until it is told to stop.
    pub(crate) fn run(self) -> std::io::Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(self.serve());
        Ok(())
    }

    async fn serve(mut self) {
        let mut running = Running::default();
        let mut round = interval(ROUND);
        while self.turn(&mut running, &mut round).await {}
        while let Ok(body) = self.announced.try_recv() {
            self.announce(&body);
        }
    }

    /// Waits for one thing to happen; false for the order to stop.
    async fn turn(&mut self, running: &mut Running, round: &mut Interval) -> bool {
        let next = self.start(running);
        let is_open = !self.outboxes.is_empty();
        let Running { encrypting, uploading } = running;
        tokio::select! {
            order = self.orders.recv() => match order {
                Some(Order::Begin) => self.begin().await,
                Some(Order::Finished(name)) => {
                    // Told before anybody can delete it, though sent after it can be fetched.
                    self.inside.tell_finished(&name);
                    self.inside.refresh(&name);
                    self.inside.catalogue().set_coming(&name, false);
                }
                Some(Order::Durable(name)) => {
                    self.take_up(name);
                    self.retain();
                }
                Some(Order::Stop) | None => return false,
            },
            Some(body) = self.announced.recv(), if is_open => self.announce(&body),
            Some(done) = encrypting.join_next() => self.finish(done),
            Some(done) = uploading.join_next() => self.finish(done),
            () = sleep_until(next.unwrap_or_else(far)), if next.is_some() => {}
            _ = round.tick() => self.retain(),
        }
        true
    }

    /// Takes up what an earlier run has left.
    async fn begin(&mut self) {
        let inside = Arc::clone(&self.inside);
        // A fault there has been told by its panic; what is known is worked on.
        let _ = spawn_blocking(move || inside.refresh_all()).await;
        outbox::keep_only(self.inside.folder(), self.hooks.iter().map(Hook::url));
        for hook in self.hooks.drain(..) {
            let (outbox, messages) = hook.outbox(self.inside.folder());
            self.outboxes.push(outbox);
            tokio::spawn(hook.run(messages, Arc::clone(&self.inside)));
        }
        for name in self.inside.catalogue().unsettled() {
            self.due.insert(name, (Instant::now(), 0));
        }
        self.retain();
    }

    /// One that is there can be worked on.
    fn take_up(&mut self, name: String) {
        let mut catalogue = self.inside.catalogue();
        catalogue.set_volatile(&name, false);
        if catalogue.has(&name) {
            self.due.insert(name, (Instant::now(), 0));
        }
    }

    /// Puts a message where it waits for each URL.
    fn announce(&mut self, body: &str) {
        for outbox in &mut self.outboxes {
            if !outbox.put(body.as_bytes()) {
                self.inside.count(|status| status.unannounced += 1);
            }
        }
    }

    /// Starts what is due, as far as hands are free; says when the next is.
    fn start(&mut self, running: &mut Running) -> Option<Instant> {
        let now = Instant::now();
        let mut next = None;
        for (name, (at, failures)) in &self.due {
            let is_open = self.tools.encrypter.is_some() && !self.sealed.contains(name);
            let step = if is_open { Step::Encrypt } else { Step::Upload };
            let running = running.at(step);
            let mut catalogue = self.inside.catalogue();
            if *at > now {
                next = Some(next.map_or(*at, |next: Instant| next.min(*at)));
            } else if running.len() < AT_A_TIME && !catalogue.is_busy(name) {
                // Where no hand is free, the first that becomes so is looked for work.
                catalogue.set_busy(name, true);
                let (inside, tools) = (Arc::clone(&self.inside), Arc::clone(&self.tools));
                let (name, failures) = (name.clone(), *failures);
                running.spawn(async move {
                    let outcome = bring(&inside, &tools, &name, step).await;
                    Done { name, step, failures, outcome }
                });
            }
        }
        next
    }

    fn finish(&mut self, done: Result<Done, JoinError>) {
        // A fault has been told by its panic.
        let Ok(Done { name, step, failures, outcome }) = done else { return };
        let here = self.inside.refresh(&name);
        self.inside.catalogue().set_busy(&name, false);
        match outcome {
            Err(trouble) if here => {
                let failures = failures.saturating_add(1);
                tracing::warn!(name, failures, %trouble, "a recording is not where it should be");
                self.due
                    .insert(name.clone(), (Instant::now() + self.retry.after(failures), failures));
                self.inside.count(|status| status.failures += 1);
                self.inside.tell(Event::Failed { name, failures });
            }
            Ok(()) if here && step == Step::Encrypt && self.tools.storage.is_some() => {
                self.due.insert(name.clone(), (Instant::now(), 0));
                self.sealed.insert(name);
            }
            // Done, or there is nothing left to be done with.
            _ => {
                self.due.remove(&name);
                self.sealed.remove(&name);
            }
        }
        self.retain();
    }

    fn retain(&self) {
        for (name, cause) in self.inside.retain(now_unix_nanos()) {
            tracing::info!(name, ?cause, "a recording was given up");
            self.inside.count(|status| status.expired += 1);
            self.inside.tell(Event::Expired { name, cause });
        }
    }
}

/// What became of one piece of work.
pub(crate) struct Done {
    name: String,
    step: Step,
    failures: u32,
    outcome: Result<(), Trouble>,
}

/// A moment that is never waited for.
fn far() -> Instant {
    Instant::now() + ROUND
}

/// Brings one recording a step nearer to the state that is asked for. Each step is done once, and
/// may be repeated where it was cut.
async fn bring(
    inside: &Arc<Inside>,
    tools: &Arc<Tools>,
    name: &str,
    step: Step,
) -> Result<(), Trouble> {
    let mut mark = Mark::read(inside.folder(), name);
    if step == Step::Encrypt {
        if !mark.encrypted {
            encrypt(inside, tools, name).await?;
            mark.encrypted = true;
            mark.write(inside.folder(), name)?;
            inside.count(|status| status.encrypted += 1);
            inside.tell(Event::Encrypted { name: name.to_owned() });
        }
        return Ok(());
    }
    if let Some(storage) = &tools.storage
        && !mark.uploaded
    {
        upload(inside, storage, name, &mut mark).await?;
        inside.count(|status| status.uploaded += 1);
        inside.tell(Event::Uploaded { name: name.to_owned() });
    }
    if tools.storage.is_some() && mark.uploaded && !tools.keep {
        inside.remove(name)?;
    }
    Ok(())
}

async fn encrypt(inside: &Arc<Inside>, tools: &Arc<Tools>, name: &str) -> Result<(), Trouble> {
    let (inside, tools) = (Arc::clone(inside), Arc::clone(tools));
    let name = name.to_owned();
    let encrypted = spawn_blocking(move || {
        let encrypter = tools.encrypter.as_ref();
        encrypter.map_or(Ok(()), |encrypter| encrypter.encrypt(inside.folder(), &name))
    });
    Ok(encrypted.await.map_err(std::io::Error::other)??)
}

/// Uploads what is not yet confirmed, the metadata last.
async fn upload(
    inside: &Inside,
    storage: &Storage,
    name: &str,
    mark: &mut Mark,
) -> Result<(), Trouble> {
    let document = Document::read(inside.folder(), name)?;
    for file in document.files.iter().rev() {
        let there =
            |object: &crate::mark::Object| object.name == file.name && object.bytes == file.bytes;
        if !mark.objects.iter().any(there) {
            mark.objects.push(storage.put(inside.folder(), file).await?);
            mark.write(inside.folder(), name)?;
        }
    }
    mark.uploaded = true;
    Ok(mark.write(inside.folder(), name)?)
}
