//! The memory site's database: a file by default, a server's where the world says so.

use std::task::{Context, Poll};

use async_trait::async_trait;
use uuid::Uuid;

use super::world::{World, WorldState, site_path};
use crate::copy::{BLOCK, read_once};
use crate::manifest::{ContentHash, FileRecord};
use crate::path::{RelPath, SitePath};
use crate::ports::database::{
    DatabaseCopy, DatabaseDump, DatabaseError, DatabaseFacts, DatabaseFolder, DatabaseForm, DatabaseMoment,
    DatabaseRestored, DatabaseSource, DatabaseStanding, DatabaseTarget, DatabaseVerdict, DumpedFile, SetupOption,
    SiteDatabase,
};
use crate::ports::destination::SnapshotFiles;
use crate::ports::shadow_copies::WantedComponent;
use crate::ports::site_files::SiteFilesError;

const NAME: &str = "CM_P01";
const FILE: &str = "/site/db/CM_P01.db";
/// A server's database comes out as two files in a folder.
const PARTS: [&str; 2] = ["CM_P01/rows", "CM_P01/manifest"];

/// The files in which a server keeps it, the first of them with its content.
pub(super) const SERVER_FILES: [&str; 2] = ["/site/db/CM_P01.mdf", "/site/db/CM_P01_log.ldf"];

/// The files by its server; none where it cannot be asked.
fn server_files(state: &WorldState) -> Vec<SitePath> {
    if !state.database_remarks.is_empty() {
        return Vec::new();
    }
    [&SERVER_FILES.map(site_path)[..], &state.database_more].concat()
}

fn component(state: &WorldState) -> WantedComponent {
    WantedComponent {
        writer: Uuid::from_u128(1),
        writer_name: "memory".to_owned(),
        logical_path: "machine".to_owned(),
        name: NAME.to_owned(),
        known: server_files(state),
        remedy: "none".to_owned(),
    }
}

fn plain(path: &str) -> RelPath {
    RelPath::parse(path).expect("a plain path")
}

fn failed(action: &'static str) -> DatabaseError {
    let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied).into();
    DatabaseError::Failed { action, name: NAME.to_owned(), source }
}

/// A copy of the memory database.
#[derive(Debug)]
struct MemoryCopy {
    world: World,
    folder: DatabaseFolder,
    pinned: Option<Vec<u8>>,
}

#[async_trait]
impl DatabaseCopy for MemoryCopy {
    async fn pin(&mut self) -> Result<(), DatabaseError> {
        assert!(self.pinned.is_none(), "a database is pinned once");
        self.pinned = Some(self.world.step().database.clone());
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<DatabaseDump, DatabaseError> {
        let pinned = self.pinned.ok_or_else(|| failed("finish unpinned"))?;
        if self.world.lock().database_is_slow {
            give_way().await;
        }
        let (form, moment, present) = {
            let state = self.world.step();
            (state.database_form, state.database_moment, state.database.clone())
        };
        let content = if moment == DatabaseMoment::End { present } else { pinned };
        let (place, files): (_, Vec<(RelPath, &[u8])>) = match form {
            DatabaseForm::File => (Some(plain("CM_P01.db")), vec![(plain("CM_P01.db"), &content)]),
            DatabaseForm::Native | DatabaseForm::Logical => {
                let parts = [(plain(PARTS[0]), &content[..]), (plain(PARTS[1]), &b"complete"[..])];
                (Some(plain(NAME)), parts.to_vec())
            }
            DatabaseForm::External | DatabaseForm::Files => (None, Vec::new()),
        };
        let write = |(path, content): (RelPath, &[u8])| {
            self.folder.create(&path)?.write_at(0, content)?;
            Ok(DumpedFile { path, size: content.len() as u64, hash: ContentHash::of(content) })
        };
        Ok(DatabaseDump {
            place,
            files: files.into_iter().map(write).collect::<Result<_, DatabaseError>>()?,
            setup_option: if form == DatabaseForm::Files { SetupOption::Files } else { SetupOption::None },
            facts: vec![("taken-by".to_owned(), "memory".to_owned())],
            remarks: Vec::new(),
            weaker: self.world.lock().database_weaker.clone(),
        })
    }
}

/// Lets whoever waits for something else have many turns.
async fn give_way() {
    let mut turns = 1000;
    let turn = |context: &mut Context<'_>| {
        turns -= 1;
        context.waker().wake_by_ref();
        if turns == 0 { Poll::Ready(()) } else { Poll::Pending }
    };
    std::future::poll_fn(turn).await;
}

impl WorldState {
    fn content(&mut self, target: &DatabaseTarget) -> Option<&mut Vec<u8>> {
        match target {
            DatabaseTarget::File(file) => (*file == site_path(FILE)).then_some(&mut self.database),
            DatabaseTarget::Own { .. } => Some(&mut self.database),
            DatabaseTarget::Scratch(name) => self.scratch_databases.get_mut(name),
        }
    }
}

/// The content of a file of a snapshot, with the hash that it was listed with.
fn read(from: &dyn SnapshotFiles, record: &FileRecord) -> Result<Vec<u8>, DatabaseError> {
    let open = from.open(&record.path)?;
    let mut content = Vec::new();
    let mut sink = |_, block: &[u8]| {
        content.extend_from_slice(block);
        Ok::<_, SiteFilesError>(())
    };
    let read = read_once(open.as_ref(), &mut vec![0; BLOCK], false, &mut sink);
    let (_, got) =
        read.map_err(|error| DatabaseError::Failed { action: "read", name: NAME.to_owned(), source: error.into() })?;
    if Some(got) == record.hash { Ok(content) } else { Err(DatabaseError::Hash(NAME.to_owned())) }
}

#[async_trait]
impl SiteDatabase for World {
    async fn inspect(&self) -> Result<DatabaseFacts, DatabaseError> {
        let state = self.step();
        let file = (state.database_form == DatabaseForm::File).then(|| site_path(FILE));
        Ok(DatabaseFacts {
            name: NAME.to_owned(),
            engine: "memory 1".to_owned(),
            address: file.as_ref().map_or_else(|| format!("memory:{NAME}"), ToString::to_string),
            size: state.database.len() as u64,
            paths: match state.database_form {
                DatabaseForm::Files => server_files(&state),
                _ => file.iter().cloned().collect(),
            },
            file,
            form: state.database_form,
            moment: state.database_moment,
            pinned_by: "a copy in memory".to_owned(),
            facts: Vec::new(),
            component: (state.database_form == DatabaseForm::Files).then(|| component(&state)),
            remarks: state.database_remarks.clone(),
            weaker: state.database_weaker.clone(),
            change_tracking_days: Some(5),
        })
    }

    async fn prepare(&self, folder: DatabaseFolder) -> Result<Box<dyn DatabaseCopy>, DatabaseError> {
        drop(self.step());
        Ok(Box::new(MemoryCopy { world: self.clone(), folder, pinned: None }))
    }

    fn logs(&self, target: &SitePath) -> Vec<SitePath> {
        vec![site_path(&format!("{target}-wal"))]
    }

    async fn survey(&self, _from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseStanding, DatabaseError> {
        let mut state = self.step();
        match (target, state.content(target)) {
            (DatabaseTarget::Own { replace: false } | DatabaseTarget::Scratch(_), Some(content))
                if !content.is_empty() =>
            {
                Ok(DatabaseStanding::Holds(format!("{} bytes", content.len())))
            }
            _ => Ok(DatabaseStanding::Free(state.restore_remarks.clone())),
        }
    }

    async fn restore(&self, from: &DatabaseSource, target: &DatabaseTarget) -> Result<DatabaseRestored, DatabaseError> {
        if let DatabaseStanding::Holds(found) = self.survey(from, target).await? {
            return Err(DatabaseError::Occupied { name: NAME.to_owned(), found });
        }
        let files: Vec<Vec<u8>> =
            from.records.iter().map(|record| read(from.files.as_ref(), record)).collect::<Result<_, _>>()?;
        let rows = from.records.iter().position(|record| record.path.name() != Some(b"manifest"));
        let content = rows.map(|rows| files[rows].clone()).ok_or_else(|| failed("find the rows of"))?;
        let mut state = self.step();
        if let DatabaseTarget::Scratch(name) = target {
            state.scratch_databases.insert(name.clone(), Vec::new());
        }
        if let Some(place) = state.content(target) {
            *place = content;
        }
        Ok(DatabaseRestored {
            changed: state.changed_facts.clone(),
            not_covered: state.not_restored.clone(),
            remarks: state.restore_remarks.clone(),
        })
    }

    async fn judge(&self, copy: &SitePath) -> Result<DatabaseVerdict, DatabaseError> {
        let store = self.kept_store();
        let (state, kept) = (self.step(), store.lock());
        let is_staged = state.folders.iter().chain(&kept.folders).any(|(name, folder)| {
            let root = site_path("/backup").join(&plain(name));
            let place = copy.strip_prefix(&root).filter(|_| folder.manifest.is_none());
            place.is_some_and(|place| folder.files.keys().any(|path| path.strip_prefix(&place).is_some()))
        });
        let is_rehearsed = state.scratch.iter().any(|scratch| copy.starts_with(scratch));
        assert!(is_staged || is_rehearsed, "`{copy}` is judged before it is sealed, or where nobody uses it");
        Ok(DatabaseVerdict { faults: state.database_faults.clone() })
    }

    async fn verify(&self, target: &DatabaseTarget) -> Result<DatabaseVerdict, DatabaseError> {
        let mut state = self.step();
        let is_there = !matches!(target, DatabaseTarget::Scratch(_)) || state.content(target).is_some();
        assert!(is_there, "{target:?} is judged while it is there");
        Ok(DatabaseVerdict { faults: state.database_faults.clone() })
    }

    async fn discard(&self, target: &DatabaseTarget) -> Result<(), DatabaseError> {
        let DatabaseTarget::Scratch(name) = target else { return Err(failed("discard")) };
        self.step().scratch_databases.remove(name);
        Ok(())
    }
}
