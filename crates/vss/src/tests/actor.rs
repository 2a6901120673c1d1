//! A site for `pre-copy`: a writer that edits the tree when it is called, and one backup of it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::cancel::Cancel;
use backup_core::copy::Previous;
use backup_core::event::{Event, EventSink};
use backup_core::manifest::FileRecord;
use backup_core::path::RelPath;
use backup_core::ports::shadow_copies::{
    Image, ImageSource, SessionLimits, ShadowCopies, ShadowCopyError, ShadowCopyRequest, ShadowCopySet,
    ShadowCopySetId, Writer, WriterError, WriterLevel, WriterMetadata,
};
use backup_core::ports::site_files::{FileProblem, FileSource};
use uuid::Uuid;

use super::staging::StrictStaging;
use super::tree::{Edit, Tree, View, at};
use crate::coordinator::InProcessCoordinator;
use crate::provider::PreCopy;

/// What is done to the tree when.
#[derive(Debug, Clone, Default)]
pub(super) struct Acts {
    /// While it comes to rest.
    pub(super) rest: Vec<Edit>,
    /// In Freeze.
    pub(super) freeze: Vec<Edit>,
    /// At calls inside the window, by somebody nobody froze.
    pub(super) inside: Vec<(usize, Edit)>,
}

#[derive(Debug)]
struct Actor {
    tree: Tree,
    acts: Acts,
    frozen: Arc<Mutex<Option<View>>>,
}

#[async_trait]
impl Writer for Actor {
    async fn identify(&self) -> Result<WriterMetadata, WriterError> {
        let name = "actor".to_owned();
        Ok(WriterMetadata { id: Uuid::nil(), name, level: WriterLevel::FrontEnd, ..WriterMetadata::default() })
    }

    async fn prepare_backup(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn prepare_snapshot(&self) -> Result<(), WriterError> {
        self.tree.forget_plan();
        for edit in &self.acts.rest {
            if let Edit::Wait(time) = edit {
                tokio::time::advance(*time).await;
            }
            self.tree.edit(edit.clone());
        }
        Ok(())
    }

    async fn freeze(&self) -> Result<(), WriterError> {
        self.acts.freeze.iter().for_each(|edit| self.tree.edit(edit.clone()));
        *self.frozen.lock().unwrap() = Some(self.tree.view());
        self.tree.start_views();
        self.tree.take_opened();
        self.acts.inside.iter().for_each(|(call, edit)| self.tree.plan(*call, edit.clone()));
        Ok(())
    }

    async fn thaw(&self) -> Result<(), WriterError> {
        self.tree.forget_plan();
        Ok(())
    }

    async fn post_snapshot(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn abort(&self) -> Result<(), WriterError> {
        Ok(())
    }

    async fn backup_complete(&self, _succeeded: bool) -> Result<(), WriterError> {
        Ok(())
    }
}

/// Hears the log, and can have the run stopped at a line of it.
#[derive(Debug, Default)]
pub(super) struct Ear {
    pub(super) lines: Mutex<Vec<String>>,
    pub(super) stop_at: Option<&'static str>,
    pub(super) cancel: Cancel,
}

impl EventSink for Ear {
    fn event(&self, event: &Event) {
        let Event::Note(line) = event else { return };
        if self.stop_at.is_some_and(|stop| line.contains(stop)) {
            self.cancel.cancel();
        }
        self.lines.lock().unwrap().push(line.clone());
    }
}

/// A site of one tree.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) tree: Tree,
    pub(super) staging: StrictStaging,
    pub(super) previous: Arc<Previous>,
    pub(super) ear: Arc<Ear>,
    /// Sources with their targets; `/site` at `S` unless a test says otherwise.
    pub(super) sources: Vec<(FileSource, &'static str)>,
}

pub(super) fn source(root: &str) -> FileSource {
    FileSource { root: at(root), exclude: Vec::new(), skip: Vec::new() }
}

/// A backup that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) set: ShadowCopySet,
    pub(super) records: Vec<FileRecord>,
    pub(super) problems: Vec<FileProblem>,
    /// The tree when it was frozen.
    pub(super) frozen: View,
}

impl Site {
    /// A tree that had these edits, and then was left alone for a minute.
    pub(super) fn settled(edits: impl IntoIterator<Item = Edit>) -> Self {
        let tree = Tree::new();
        edits.into_iter().for_each(|edit| tree.edit(edit));
        tree.edit(Edit::Wait(std::time::Duration::from_mins(1)));
        let staging = StrictStaging::default();
        let sources = vec![(source("/site"), "S")];
        Self { tree, staging, previous: Arc::default(), ear: Arc::default(), sources }
    }

    pub(super) async fn try_backup(&self, acts: Acts) -> Result<Made, ShadowCopyError> {
        let frozen = Arc::default();
        let writer = Actor { tree: self.tree.clone(), acts, frozen: Arc::clone(&frozen) };
        let image = |(source, target): &(FileSource, &str)| ImageSource {
            source: source.clone(),
            target: RelPath::parse(target).expect("a plain path"),
        };
        let request = ShadowCopyRequest {
            id: ShadowCopySetId(Uuid::nil()),
            sources: self.sources.iter().map(image).collect(),
            components: Vec::new(),
            files: Arc::new(self.tree.clone()),
            staging: Arc::new(self.staging.clone()),
            previous: Arc::clone(&self.previous),
            writers: vec![Arc::new(writer)],
            limits: SessionLimits::default(),
            cancel: self.ear.cancel.clone(),
            events: Arc::clone(&self.ear) as Arc<dyn EventSink>,
        };
        let coordinator = InProcessCoordinator::new(Arc::new(self.tree.clone()), Arc::new(PreCopy));
        let mut set = coordinator.prepare(request).await?.commit().await?;
        let Image::Staged { records, problems } = std::mem::replace(&mut set.image, Image::Borrowed(Vec::new())) else {
            panic!("pre-copy stages");
        };
        let frozen = frozen.lock().unwrap().take().expect("the writer was frozen");
        Ok(Made { set, records, problems, frozen })
    }

    pub(super) async fn backup(&self, acts: Acts) -> Made {
        self.try_backup(acts).await.expect("nothing goes wrong")
    }

    /// Whether what is staged is the tree at the moment of the freeze, and was said to be.
    #[track_caller]
    pub(super) fn assert_holds(&self, made: &Made) {
        use backup_core::ports::shadow_copies::Consistency;
        let Made { set, records, problems, frozen } = made;
        assert_eq!((set.consistency, &set.weaker[..], &problems[..]), (Consistency::Application, &[][..], &[][..]));
        assert!(self.staging.shows(records, frozen), "{records:#?}\n{frozen:#?}");
    }
}
