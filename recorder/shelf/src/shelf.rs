//! The shelf, as others see it. Clones are the same shelf. `list`, `find`, `read` and `delete` go to the
//! disk, and are for threads that may wait for it; nothing else does, once the shelf is open.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use recorder::{Expiry, Retention, rfc3339};
use serde_json::{Map, Value, json};
use tokio::sync::{broadcast, mpsc};

use crate::catalogue::{self, Catalogue, Found};
use crate::config::{Failure, ShelfConfig};
use crate::document::{Document, Recording, within};
use crate::encrypt::Encrypter;
use crate::mark::Mark;
use crate::status::{Event, Status};
use crate::upload::Storage;
use crate::webhook::{self, Hook};
use crate::work::{Order, Tools, Work};

/// Recordings of one page at most.
pub const RECORDINGS_PER_PAGE_MAX: usize = 1000;

/// Events that wait to be asked for.
const EVENTS_MAX: usize = 1000;

/// Messages to webhooks that wait for the thread to put them where they wait for each URL.
const ANNOUNCEMENTS_MAX: usize = 1000;

/// Announcements that wait for one listener; who takes them more slowly misses the oldest.
const UNHEARD_MAX: usize = 1000;

/// What webhooks are told of the metadata of a recording that is finished.
const TOLD: [&str; 8] =
    ["subject", "room", "call_id", "started", "ended", "seconds", "cut", "layout"];

/// Finished recordings.
#[derive(Clone)]
pub struct Shelf {
    inside: Arc<Inside>,
    orders: mpsc::UnboundedSender<Order>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What happened to a recording, as webhooks and listeners are told.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// One word.
    pub event: Arc<str>,
    /// The whole of it, in JSON.
    pub body: Arc<str>,
}

/// A part of the list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Newest first.
    pub recordings: Vec<Recording>,
    /// Where the next page begins, where there is one.
    pub next: Option<String>,
}

/// A file to be read.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its length.
    pub bytes: u64,
    /// Its media type.
    pub media_type: &'static str,
}

/// Why something cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such recording, or no such file of it.
    Unknown,
    /// It is being encrypted or uploaded at the moment, or what a crash has left is being repaired.
    Busy,
    /// The disk.
    Disk(io::ErrorKind),
}

impl Shelf {
    /// Finds what is in the folder and starts the thread. Nothing is done to any recording, and nothing
    /// is sent, before [`Shelf::begin`].
    pub fn open(config: &ShelfConfig) -> Result<Self, Failure> {
        // Whoever was first has decided; all that matters is that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tools = Tools {
            encrypter: config.encryption.as_ref().map(Encrypter::new).transpose()?,
            storage: config.upload.as_ref().map(Storage::new).transpose()?,
            keep: config.upload.as_ref().is_none_or(|upload| upload.keep),
        };
        let hooks = hooks(config)?;
        let catalogue = Catalogue::open(config);
        let (announcements, announced) = mpsc::channel(ANNOUNCEMENTS_MAX);
        let inside = Arc::new(Inside {
            config: config.clone(),
            identity: OnceLock::new(),
            catalogue: Mutex::new(catalogue),
            news: Mutex::default(),
            announcements,
            listeners: broadcast::Sender::new(UNHEARD_MAX),
            has_begun: AtomicBool::new(false),
        });
        // Whoever has never recorded has none yet.
        let _ = inside.is_there();
        let (orders, order_queue) = mpsc::unbounded_channel();
        let work = Work {
            inside: Arc::clone(&inside),
            tools: Arc::new(tools),
            retry: config.retry,
            orders: order_queue,
            announced,
            hooks,
            outboxes: Vec::new(),
            due: std::collections::BTreeMap::new(),
            sealed: std::collections::BTreeSet::new(),
        };
        let run = move || {
            if let Err(error) = work.run() {
                tracing::error!(%error, "recordings stay as they are");
            }
        };
        let thread = std::thread::Builder::new().name("shelf".into()).spawn(run);
        let thread = Arc::new(Mutex::new(Some(thread.map_err(|_| Failure::System)?)));
        Ok(Self { inside, orders, thread })
    }

    /// A page of the list, newest first. `from`: what the page before named as `next`, which is a time, `_`
    /// and a name: nothing that a URL could not have as it is.
    pub fn list(&self, from: Option<&str>, count: usize) -> Page {
        let count = count.clamp(1, RECORDINGS_PER_PAGE_MAX);
        let before = from.map(|from| {
            let (started, name) = from.split_once('_').unwrap_or((from, ""));
            (started.to_owned(), name.to_owned())
        });
        // One more, to know whether there is another page.
        let mut keys = self.inside.catalogue().list(before, count + 1);
        let is_last = keys.len() <= count;
        keys.truncate(count);
        let next = keys.last().filter(|_| !is_last);
        let next = next.map(|(started, name)| format!("{started}_{name}"));
        let recordings = keys.iter().filter_map(|(_, name)| self.inside.read(name)).collect();
        Page { recordings, next }
    }

    /// Whether there is a recording of this name.
    pub fn has(&self, name: &str) -> bool {
        self.inside.catalogue().has(name)
    }

    /// The recording of this name.
    pub fn find(&self, name: &str) -> Option<Recording> {
        self.inside.catalogue().has(name).then(|| self.inside.read(name))?
    }

    /// Opens a file of a recording. `file`: its name, as the recording has it.
    pub fn read(&self, name: &str, file: &str) -> Result<Opened, Refusal> {
        let recording = self.find(name).ok_or(Refusal::Unknown)?;
        let stored = recording.files.into_iter().find(|stored| stored.name == file);
        let stored = stored.ok_or(Refusal::Unknown)?;
        let path = within(self.inside.folder(), &stored.name).ok_or(Refusal::Unknown)?;
        let file = File::open(path).map_err(|error| Refusal::Disk(error.kind()))?;
        Ok(Opened { file, bytes: stored.bytes, media_type: stored.media_type })
    }

    /// Whether [`Shelf::delete`] would go to the disk now. One whose files may still change is taken
    /// up by nobody else: of it this stays true.
    pub fn may_delete(&self, name: &str) -> Result<(), Refusal> {
        self.inside.may_delete(&self.inside.catalogue(), name)
    }

    /// Removes a recording with all its files. A copy in the storage stays.
    pub fn delete(&self, name: &str) -> Result<(), Refusal> {
        let mut catalogue = self.inside.catalogue();
        self.inside.may_delete(&catalogue, name)?;
        catalogue.set_busy(name, true);
        drop(catalogue);
        self.inside.remove(name).map_err(|error| Refusal::Disk(error.kind()))?;
        self.inside.count(|status| status.deleted += 1);
        self.inside.tell(Event::Deleted { name: name.to_owned() });
        Ok(())
    }

    /// What an earlier run has left in the folder is as it will stay: whatever a crash had cut is
    /// repaired. Recordings that were left unencrypted or not uploaded are taken up, whenever they
    /// are from, and so are messages to webhooks. Returns at once, and only the first time matters.
    pub fn begin(&self) {
        if !self.inside.has_begun.swap(true, Ordering::Relaxed) {
            self.order(Order::Begin);
        }
    }

    /// A recording of this name goes on: whatever is found of it is left alone until it is durable.
    pub fn started(&self, name: &str) {
        self.inside.catalogue().set_volatile(name, true);
    }

    /// The metadata file of a recording is complete: it is put on the shelf. Returns at once.
    pub fn finished(&self, name: &str) {
        self.inside.catalogue().set_coming(name, true);
        self.order(Order::Finished(name.to_owned()));
    }

    /// Whether a finished recording is about to be put on the shelf.
    pub fn is_coming(&self, name: &str) -> bool {
        self.inside.catalogue().is_coming(name)
    }

    /// Nothing will be written to a finished recording any more, not even by a repair: what is to be
    /// done with it begins. Returns at once.
    pub fn durable(&self, name: &str) {
        self.order(Order::Durable(name.to_owned()));
    }

    fn order(&self, order: Order) {
        // Without a thread it waits for the next start.
        let _ = self.orders.send(order);
    }

    /// Everything that is announced from now on, as the webhooks are told.
    pub fn listen(&self) -> broadcast::Receiver<Announcement> {
        self.inside.listeners.subscribe()
    }

    /// Tells the webhooks of a state that the shelf does not know of itself: `event` is one word
    /// (`started`, `paused`), `detail` whatever else is to be said.
    pub fn announce(&self, event: &str, name: &str, detail: Map<String, Value>) {
        self.inside.announce(event, name, detail);
    }

    /// The next event, if there is one.
    pub fn try_event(&self) -> Option<Event> {
        self.inside.news().events.pop_front()
    }

    /// Numbers.
    pub fn status(&self) -> Status {
        let (recordings, bytes, waiting) = self.inside.catalogue().numbers();
        Status { recordings, bytes, waiting, ..self.inside.news().status }
    }

    /// Ends the thread; what it was doing is repeated at the next start, when messages to webhooks
    /// that wait are sent.
    pub fn stop(&self) {
        self.order(Order::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A fault of the thread has been told by its panic.
            let _ = thread.join();
        }
    }
}

fn hooks(config: &ShelfConfig) -> Result<Vec<Hook>, Failure> {
    if config.webhooks.is_empty() {
        return Ok(Vec::new());
    }
    let client = webhook::client()?;
    let hooks = config.webhooks.iter().enumerate().map(|(index, webhook)| {
        Hook::new(webhook, config.retry, &client).ok_or(Failure::Webhook(index))
    });
    hooks.collect()
}

/// What the thread and all clones share.
pub(crate) struct Inside {
    config: ShelfConfig,
    /// Which folder it is: device and number. Known once it is there.
    identity: OnceLock<(u64, u64)>,
    catalogue: Mutex<Catalogue>,
    news: Mutex<News>,
    announcements: mpsc::Sender<String>,
    listeners: broadcast::Sender<Announcement>,
    has_begun: AtomicBool,
}

#[derive(Default)]
pub(crate) struct News {
    status: Status,
    events: VecDeque<Event>,
}

impl Inside {
    pub(crate) fn folder(&self) -> &Path {
        &self.config.folder
    }

    pub(crate) fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    fn may_delete(&self, catalogue: &Catalogue, name: &str) -> Result<(), Refusal> {
        if !catalogue.has(name) {
            return Err(Refusal::Unknown);
        }
        let is_busy = catalogue.is_busy(name) || !self.has_begun();
        if is_busy { Err(Refusal::Busy) } else { Ok(()) }
    }

    /// Everything about a recording, from its files.
    fn read(&self, name: &str) -> Option<Recording> {
        let document = Document::read(self.folder(), name).ok()?;
        Some(document.into_recording(name.to_owned(), &Mark::read(self.folder(), name)))
    }

    /// Whether the folder is the one that was opened. Where its disk was taken away there is another
    /// below it, or none: whatever is missing there is not gone.
    fn is_there(&self) -> io::Result<()> {
        let found = self.folder().metadata()?;
        let found = (found.dev(), found.ino());
        let is_it = *self.identity.get_or_init(|| found) == found;
        is_it.then_some(()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Looks anew at the files of a recording; says whether it is there, as far as that is known.
    pub(crate) fn refresh(&self, name: &str) -> bool {
        let found = Found::read(&self.config, name);
        let is_told = match &found {
            Ok(_) => true,
            Err(error) => {
                let is_none = [io::ErrorKind::NotFound, io::ErrorKind::InvalidData];
                is_none.contains(&error.kind()) && self.is_there().is_ok()
            }
        };
        let mut catalogue = self.catalogue();
        if is_told {
            catalogue.put(name, found.ok());
        }
        catalogue.has(name)
    }

    /// Looks anew at all that is in the folder: a repair has changed it. What goes on is put on the
    /// shelf when that is told.
    pub(crate) fn refresh_all(&self) {
        for name in catalogue::names(self.folder()) {
            if !self.catalogue().is_volatile(&name) {
                self.refresh(&name);
            }
        }
    }

    /// Removes a recording that was made busy for that.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.is_there().and_then(|()| catalogue::remove(self.folder(), name));
        let mut catalogue = self.catalogue();
        match removed {
            Ok(()) => {
                catalogue.forget(name);
                catalogue.set_volatile(name, false);
            }
            Err(_) => catalogue.set_busy(name, false),
        }
        removed
    }

    /// Gives up what the rule does not keep, and says what that was.
    pub(crate) fn retain(&self, now_unix_nanos: u64) -> Vec<(String, Expiry)> {
        if self.config.retention == Retention::default() || !self.has_begun() {
            return Vec::new();
        }
        let expired = self.catalogue().expire(self.config.retention, now_unix_nanos);
        expired.into_iter().filter(|(name, _)| self.remove(name).is_ok()).collect()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.news().status);
    }

    /// Tells an event to who asks, and to the webhooks.
    pub(crate) fn tell(&self, event: Event) {
        let (word, name, detail) = match &event {
            Event::Encrypted { name } => ("encrypted", name, Value::Null),
            Event::Uploaded { name } => ("uploaded", name, Value::Null),
            Event::Failed { name, failures } => ("delayed", name, json!({ "failures": failures })),
            Event::Expired { name, cause: Expiry::Age } => {
                ("expired", name, json!({ "cause": "age" }))
            }
            Event::Expired { name, cause: Expiry::Size } => {
                ("expired", name, json!({ "cause": "size" }))
            }
            Event::Deleted { name } => ("deleted", name, Value::Null),
        };
        self.announce(word, name, detail.as_object().cloned().unwrap_or_default());
        let mut news = self.news();
        if news.events.len() == EVENTS_MAX {
            news.events.pop_front();
            news.status.events_lost += 1;
        }
        news.events.push_back(event);
    }

    /// Tells the webhooks that a recording is on the shelf, and the most important of its metadata.
    pub(crate) fn tell_finished(&self, name: &str) {
        let Some(recording) = self.read(name) else { return };
        let detail = TOLD.iter().filter_map(|&key| {
            let value = recording.metadata.get(key).filter(|value| !value.is_null())?;
            Some((key.to_owned(), value.clone()))
        });
        self.announce("finished", name, detail.collect());
    }

    fn announce(&self, event: &str, name: &str, detail: Map<String, Value>) {
        if self.config.webhooks.is_empty() && self.listeners.receiver_count() == 0 {
            return;
        }
        let time = rfc3339(now_unix_nanos());
        let mut body = json!({ "event": event, "recording": name, "time": time });
        if let Some(body) = body.as_object_mut() {
            body.extend(detail);
        }
        let body = body.to_string();
        // Where nobody listens, nobody misses it.
        let _ =
            self.listeners.send(Announcement { event: event.into(), body: body.as_str().into() });
        let urls = self.config.webhooks.len() as u64;
        if urls > 0 && self.announcements.try_send(body).is_err() {
            self.count(|status| status.unannounced += urls);
        }
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now_unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
