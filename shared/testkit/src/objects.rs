//! The object store's twin.

use crate::faults::{Faults, lock};
use crate::{Fault, Weather};
use bytes::Bytes;
use domain::guard::Guard;
use domain::ports::objects::{CollectObjects, Location, ObjectError, ReadObjects, UploadObject, WriteObjects};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// The object store in memory; every bucket exists. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct MemoryObjects {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Location, Bytes>,
    /// Keys of uploads under way, each by its number.
    uploads: BTreeMap<u64, Location>,
    begun: u64,
}

impl MemoryObjects {
    /// A store whose calls go through that weather.
    pub fn under(weather: Arc<dyn Weather>) -> Self {
        Self { faults: Faults::under(weather), ..Self::default() }
    }

    /// Looks at all objects.
    pub fn inspect<T>(&self, look: impl FnOnce(&BTreeMap<Location, Bytes>) -> T) -> T {
        look(&lock(&self.state).objects)
    }

    /// The next call of that port method (`"create"`, `"complete"` …) fails as unavailable, before or after its effect.
    pub fn fail_next(&self, call: &str, fault: Fault) {
        self.faults.order(call, fault);
    }

    /// Uploads that were begun and neither completed nor aborted: what a bucket would keep charging for.
    pub fn open_uploads(&self) -> usize {
        lock(&self.state).uploads.len()
    }

    async fn call<T>(
        &self,
        name: &str,
        effect: impl FnOnce(&mut State) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        self.faults.around(name, ObjectError::Unavailable, || effect(&mut lock(&self.state))).await
    }
}

impl State {
    fn get(&self, at: &Location) -> Result<Bytes, ObjectError> {
        self.objects.get(at).cloned().ok_or_else(|| ObjectError::NotFound(at.clone()))
    }

    fn create(&mut self, at: &Location, body: Bytes) -> Result<(), ObjectError> {
        match self.objects.get(at) {
            Some(there) if *there != body && Guard::CreateIfAbsent.stands() => Err(ObjectError::Occupied(at.clone())),
            Some(there) if *there == body => Ok(()),
            _ => {
                self.objects.insert(at.clone(), body);
                Ok(())
            }
        }
    }
}

impl ReadObjects for MemoryObjects {
    async fn size(&self, at: &Location) -> Result<u64, ObjectError> {
        self.call("size", |s| Ok(s.get(at)?.len() as u64)).await
    }

    async fn read_range(&self, at: &Location, range: Range<u64>) -> Result<Bytes, ObjectError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.call("read_range", |s| {
            let body = s.get(at)?;
            if range.end > body.len() as u64 {
                return Err(ObjectError::Unavailable(format!("{at} has no bytes {range:?}")));
            }
            Ok(body.slice(range.start as usize..range.end as usize))
        })
        .await
    }

    async fn read(&self, at: &Location) -> Result<Bytes, ObjectError> {
        self.call("read", |s| s.get(at)).await
    }

    async fn list(&self, prefix: &Location) -> Result<Vec<(Location, u64)>, ObjectError> {
        self.call("list", |s| {
            let below = |at: &Location| at.bucket == prefix.bucket && at.key.starts_with(&prefix.key);
            let found = s.objects.range(prefix..).take_while(|(at, _)| below(at));
            Ok(found.map(|(at, body)| (at.clone(), body.len() as u64)).collect())
        })
        .await
    }
}

impl WriteObjects for MemoryObjects {
    type Upload = MemoryUpload;

    async fn create(&self, at: &Location, body: Bytes) -> Result<(), ObjectError> {
        self.call("create", |s| s.create(at, body)).await
    }

    async fn begin(&self, at: &Location) -> Result<MemoryUpload, ObjectError> {
        self.call("begin", |s| {
            s.begun += 1;
            s.uploads.insert(s.begun, at.clone());
            Ok(MemoryUpload { store: self.clone(), number: s.begun, at: at.clone(), written: Vec::new() })
        })
        .await
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        self.call("delete", |s| {
            s.objects.remove(at);
            Ok(())
        })
        .await
    }
}

impl CollectObjects for MemoryObjects {
    async fn abort_uploads(
        &self,
        prefix: &Location,
        ours: impl Fn(&Location) -> bool + Send + Sync,
    ) -> Result<(), ObjectError> {
        let below = |at: &Location| at.bucket == prefix.bucket && at.key.starts_with(&prefix.key);
        let abort = |s: &mut State| {
            s.uploads.retain(|_, at| !(below(at) && ours(at)));
            Ok(())
        };
        self.call("abort_uploads", abort).await
    }
}

/// An upload to [`MemoryObjects`]. Dropped, it stays among the open ones, as it would in a bucket.
#[derive(Debug)]
pub struct MemoryUpload {
    store: MemoryObjects,
    number: u64,
    at: Location,
    written: Vec<u8>,
}

impl UploadObject for MemoryUpload {
    async fn write(&mut self, piece: Bytes) -> Result<(), ObjectError> {
        let written = &mut self.written;
        self.store
            .call("write", |_| {
                written.extend_from_slice(&piece);
                Ok(())
            })
            .await
    }

    async fn complete(self) -> Result<(), ObjectError> {
        let Self { store, number, at, written } = self;
        let complete = |s: &mut State| match s.uploads.remove(&number) {
            Some(_) => s.create(&at, written.into()),
            None => Err(ObjectError::Unavailable(format!("the upload to {at} is gone"))),
        };
        store.call("complete", complete).await
    }

    async fn abort(self) -> Result<(), ObjectError> {
        let Self { store, number, .. } = self;
        let abort = |s: &mut State| {
            s.uploads.remove(&number);
            Ok(())
        };
        store.call("abort", abort).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn the_twin_keeps_the_promises_of_the_object_ports() {
        conformance::objects(MemoryObjects::default(), Location::new("bucket", "")).await;
    }

    #[tokio::test]
    async fn a_dropped_upload_stays_open_and_an_aborted_one_does_not() {
        let objects = MemoryObjects::default();
        let at = Location::new("bucket", "key");
        objects.begin(&at).await.unwrap().abort().await.unwrap();
        assert_eq!(objects.open_uploads(), 0);
        drop(objects.begin(&at).await.unwrap());
        assert_eq!(objects.open_uploads(), 1);
    }
}
