//! `shadow-copy create`, `list`, `path` and `delete`.

use backup_core::snapshot::short;

use super::super::shadow_copy::kept::{deleted, found, keep, listed};
use super::*;
use crate::args::{ShadowCopyDeleteArgs, ShadowCopyPathArgs};

fn shown(name: &'static str, answer: Result<Answer, CommandError>) -> String {
    match answer {
        Ok(answer) => Printer::shown(name, &answer),
        Err(error) => format!("{:?}: {} {:?}", error.kind, error.messages().join(": "), error.hints),
    }
}

#[test]
fn what_is_kept_is_told_found_and_deleted() {
    let _filters = without_seconds();
    let (world, plan) = (World::new(), plan(&alone()));
    insta::assert_snapshot!(shown("shadow-copy list", block_on(listed(&world.ports()))), @r"
    $ sitebackup shadow-copy list
    No shadow copy is kept.
    [done]
    ");
    let answer = block_on(keep(&world.ports(), &plan, &session()));
    assert_documented("shadow-copy create", &answer.result);
    insta::assert_snapshot!(Printer::shown("shadow-copy create", &answer), @r"
    $ sitebackup shadow-copy create
    note: pipes, sockets and devices have no content and are left out: 1, such as `/site/data/pipe`
    Site P01 is kept as it was at one moment.
      shadow copy      000000000001
      moment           2026-03-01 03:00:[s] +00:00, application consistency, by memory
      folder           `/backup/.sitebackup-00000000000170008000000000000000`
      `/site/inboxes`  `/.image/00000000-0001-7000-8000-000000000000/site/inboxes`
      `/site/data`     `/.image/00000000-0001-7000-8000-000000000000/site/data`
      freeze window    [n] s
      outage           [n] s
    [done]
    ");
    world.lock().now += SignedDuration::from_hours(3);
    let answer = block_on(listed(&world.ports())).expect("memory lists");
    insta::assert_snapshot!(Printer::shown("shadow-copy list", &answer), @r"
    $ sitebackup shadow-copy list
    000000000001  2026-03-01 03:00:[s] +00:00  3 h  application consistency, by memory  350 B and an image  /backup/.sitebackup-00000000000170008000000000000000
    [done]
    ");
    insta::assert_snapshot!(json("shadow-copy list", &answer), @r#"
    {
      "kept": [
        {
          "broken": null,
          "bytes": 350,
          "consistency": "application",
          "entries": 7,
          "folder": "/backup/.sitebackup-00000000000170008000000000000000",
          "id": "00000000-0001-7000-8000-000000000000",
          "moment": "2026-03-01T03:00:[s]Z",
          "on_image": true,
          "provider": "memory",
          "short": "000000000001",
          "sources": [
            {
              "place": "/.image/00000000-0001-7000-8000-000000000000/site/inboxes",
              "source": "/site/inboxes"
            },
            {
              "place": "/.image/00000000-0001-7000-8000-000000000000/site/data",
              "source": "/site/data"
            }
          ],
          "weaker": []
        }
      ]
    }
    "#);
    let run: RunId = answer.result["kept"][0]["id"].as_str().expect("an id").parse().expect("an id");
    let find = |source: Option<&str>| {
        let args = ShadowCopyPathArgs { id: short(run, &[run]), source: source.map(Into::into) };
        block_on(found(&world.ports(), &args))
    };
    insta::assert_snapshot!(shown("shadow-copy path", find(None)), @r"
    $ sitebackup shadow-copy path
    /backup/.sitebackup-00000000000170008000000000000000
    [done]
    ");
    insta::assert_snapshot!(shown("shadow-copy path", find(Some("/site/data/c.dat"))), @r"
    $ sitebackup shadow-copy path
    /.image/00000000-0001-7000-8000-000000000000/site/data/c.dat
    [done]
    ");
    insta::assert_snapshot!(shown("shadow-copy path", find(Some("/site"))), @r#"
    Exit(2): `/site` is no source of the shadow copy, nor below one ["its sources are `/site/inboxes`, `/site/data`; without one the folder with all else is printed"]
    "#);
    let delete = |id: &str| {
        let args = ShadowCopyDeleteArgs { id: Some(id.to_owned()), all: false };
        block_on(deleted(&world.ports(), &args))
    };
    insta::assert_snapshot!(shown("shadow-copy delete", delete("f")), @r#"
    Exit(22): no kept shadow copy starts with `f` ["`sitebackup shadow-copy list` lists them"]
    "#);
    insta::assert_snapshot!(shown("shadow-copy delete", delete("00")), @r"
    $ sitebackup shadow-copy delete
    Deleted: 1 shadow copy.
    [done]
    ");
}

#[test]
fn what_is_broken_is_told_with_the_reason() {
    let _filters = without_seconds();
    let (world, plan) = (World::new(), plan(&alone()));
    block_on(keep(&world.ports(), &plan, &session()));
    world.lose_images();
    insta::assert_snapshot!(shown("shadow-copy list", block_on(listed(&world.ports()))), @r"
    $ sitebackup shadow-copy list
    warning: kept shadow copy 000000000001 cannot be read: `/.image/00000000-0001-7000-8000-000000000000/site/inboxes` is gone, where `/site/inboxes` was
    hint: `sitebackup shadow-copy delete 000000000001` removes what is left of it
    000000000001  2026-03-01 03:00:[s] +00:00  [n] s  broken    /backup/.sitebackup-00000000000170008000000000000000
    [incomplete]
    ");
    let args = ShadowCopyPathArgs { id: "00".to_owned(), source: None };
    insta::assert_snapshot!(shown("shadow-copy path", block_on(found(&world.ports(), &args))), @r#"
    Exit(22): kept shadow copy `00` cannot be read: `/.image/00000000-0001-7000-8000-000000000000/site/inboxes` is gone, where `/site/inboxes` was ["`sitebackup shadow-copy delete 000000000001` removes what is left of it"]
    "#);
}
