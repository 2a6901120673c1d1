//! Shadow copies that another program reads.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::backup::{ImageReader, ReadableImage, join_session, read_image};
use crate::memory::{Faults, faulty};
use crate::ports::database::DatabaseForm;
use crate::report::{Cause, Outcome};

/// Notes the number that a file of the image holds while the site goes on.
#[derive(Debug)]
struct Noting {
    ports: Ports,
    world: World,
    seen: Mutex<Vec<Vec<u8>>>,
}

#[async_trait]
impl ImageReader for Noting {
    async fn read(&self, image: &ReadableImage) -> bool {
        assert!(self.world.all_running(), "the site does not wait for the reader");
        let (source, lies) = &image.sources[0];
        assert_eq!(*source, path("/site/inboxes"));
        assert_eq!(image.paths(), [&image.parts, lies, &image.sources[1].1]);
        let file = self.ports.files.open(&lies.join(&place("counter.txt"))).expect("it is on the image");
        let mut content = vec![0; 100];
        let length = file.read_at(0, &mut content).expect("read");
        self.seen.lock().expect("no panic").push(content[..length].to_vec());
        true
    }
}

fn reader(world: &World) -> Noting {
    Noting { ports: world.ports(), world: world.clone(), seen: Mutex::default() }
}

/// One snapshot and nothing else is at the destination, and the next backup needs no help.
fn assert_as_before(world: &World, when: &str) {
    assert!(world.all_running(), "{when}: a service is down");
    assert!(!world.has_images(), "{when}: an image is left");
    assert_eq!(snapshots(&world.ports()).len(), 1, "{when}");
    assert_all_good(world, when);
    assert_eq!(backup(world).outcome, Outcome::Done, "{when}: the next run");
}

#[test]
fn a_reader_sees_one_moment_and_nothing_is_left() {
    let world = World::new();
    backup(&world);
    let (reader, messages) = (reader(&world), world.lock().status.len());
    let report = block_on(read_image(&world.ports(), &plan(), &RunContext::default(), &reader));
    assert_eq!((report.outcome, report.snapshot), (Outcome::Done, None), "{:?}", report.findings);
    assert_eq!(reader.seen.lock().expect("no panic").len(), 1);
    assert_eq!(world.lock().status.len(), messages, "monitors hear of backups only");
    assert_as_before(&world, "read");
}

#[test]
fn nothing_is_read_where_the_moment_could_not_be_held() {
    let world = World::new();
    backup(&world);
    world.lock().stubborn.insert(("SMS_EXECUTIVE".to_owned(), "stop"));
    let reader = reader(&world);
    let report = block_on(read_image(&world.ports(), &plan(), &RunContext::default(), &reader));
    assert_eq!(report.outcome, Outcome::Failed(Cause::ServiceStop), "{:?}", report.findings);
    assert!(reader.seen.lock().expect("no panic").is_empty());
    world.lock().stubborn.clear();
    assert_as_before(&world, "refused");
}

#[test]
fn a_kill_at_any_call_leaves_all_as_it_was() {
    let read = |world: &World, ports: Ports| {
        let noting = reader(world);
        async move { drop(read_image(&ports, &plan(), &RunContext::default(), &noting).await) }
    };
    kill_at_every_call(40, read, assert_as_before);
}

#[test]
fn a_moment_of_somebody_else_leaves_nothing_whatever_stands_in_the_way_of_snapshots() {
    let world = World::new();
    backup(&world);
    let messages = world.lock().status.len();
    world.lock().free = 0;
    let report = block_on(join_session(&world.ports(), &plan(), &RunContext::default()));
    assert_eq!((report.outcome, report.snapshot), (Outcome::Done, None), "{:?}", report.findings);
    assert!(report.outage > std::time::Duration::ZERO, "the services stopped");
    assert_eq!(world.lock().status.len(), messages, "monitors hear of backups only");
    world.lock().free = 1 << 30;
    assert_as_before(&world, "joined");
}

#[test]
fn a_kill_at_any_call_of_somebody_elses_session_is_put_right() {
    let join = |_: &World, ports: Ports| async move {
        drop(join_session(&ports, &plan(), &RunContext::default()).await);
    };
    kill_at_every_call(30, join, assert_as_before);
}

#[test]
fn a_servers_database_is_left_to_its_server_in_somebody_elses_session() {
    for (form, pins) in [(DatabaseForm::File, 1), (DatabaseForm::Native, 0)] {
        let world = World::new();
        world.lock().database_form = form;
        let faults = Faults::new(None);
        let ports = faulty(&world.ports(), &faults);
        let report = block_on(join_session(&ports, &plan(), &RunContext::default()));
        assert_eq!(report.outcome, Outcome::Done, "{:?}", report.findings);
        let calls = faults.calls();
        assert_eq!(calls.iter().filter(|call| call.contains("pin")).count(), pins, "{form:?}: {calls:?}");
    }
}
