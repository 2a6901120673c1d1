//! The README's first command: a site under write load is backed up, killed, wrecked and recovered before one's eyes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tests::program::{Program, Ran};
use tests::{Counters, Fault, SampleSite, SampleSiteOptions, ServiceName, Workload, poll_until, read_counters};

use crate::Chore;
use crate::shell;

type Told<T> = Result<T, Box<dyn std::error::Error>>;

pub(crate) fn run(_args: &[String]) -> Chore {
    let programs = shell::build(false)?;
    println!(
        "sample site, the product's layout; what proves SQL Server, VSS and the SMS Writer stands in the table of the README"
    );
    let demo = Demo::new(&programs)?;
    demo.show_counters()?;
    demo.back_up()?;
    demo.kill_a_publish()?;
    demo.wreck_and_recover()?;
    demo.without_freeze()?;
    demo.judge_for_yourself()
}

struct Demo {
    place: PathBuf,
    site: SampleSite,
    program: Program,
    // Ends its processes when the demo ends, however it ends.
    workload: Workload,
}

impl Demo {
    fn new(programs: &Path) -> Told<Self> {
        let place = shell::root().join("target/demo");
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::create_dir_all(&place)?;
        let workload_program = programs.join("workload");
        let options =
            SampleSiteOptions { workload: workload_program.clone(), extra_files: 20, ..SampleSiteOptions::default() };
        let site = SampleSite::build(&place, &options)?;
        let workload = Workload::start(&site, &workload_program, options.extra_files)?;
        Ok(Self { place, site, program: Program::at(&programs.join("sitebackup")), workload })
    }

    fn command(&self, args: &[&str]) -> Command {
        let site = self.site.site_toml();
        self.program.command(["--site".as_ref(), site.as_os_str()].into_iter().chain(args.iter().map(AsRef::as_ref)))
    }

    /// Runs the program as a user would, shows what it says, and expects its exit code.
    fn run(&self, args: &[&str], expect: i32) -> Told<Ran> {
        println!("\n$ sitebackup {}", args.join(" "));
        let ran = tests::program::finish(self.command(args).spawn()?)?;
        for line in ran.stdout.lines().chain(ran.stderr.lines()) {
            println!("  {line}");
        }
        if ran.code == expect { Ok(ran) } else { Err(format!("exit code {} instead of {expect}", ran.code).into()) }
    }

    fn show_counters(&self) -> Chore {
        println!("\nthe services write one growing number to the database, the registry and a file, all the time:");
        for _ in 0..3 {
            self.workload.wait_for_progress()?;
            let Counters { db, file, registry, .. } = self.site.live_counters()?;
            println!("  db={db} registry={registry} file={file}");
        }
        Ok(())
    }

    fn back_up(&self) -> Chore {
        self.run(&["check"], 0)?;
        self.run(&["backup"], 0)?;
        let copy = self.place.join("copy");
        let began = Instant::now();
        shell::run(Command::new("cp").arg("-a").arg(self.site.site_dir()).arg(&copy))?;
        println!("  beside it: stop, `cp -a`, start would keep the site down for {:.2?} of copying", began.elapsed());
        Ok(fs::remove_dir_all(copy)?)
    }

    fn kill_a_publish(&self) -> Chore {
        let listed = tests::program::finish(self.command(&["--json", "snapshots"]).spawn()?)?.json();
        let old = listed["result"]["snapshots"][0]["id"].as_str().ok_or("no snapshot is listed")?.to_owned();
        println!("\nkill -9 in the middle of the second backup's publish:");
        let mut child = self.command(&["backup"]).spawn()?;
        let sealing = || sealing(&self.site.destination()).or_else(|| child_ended(&mut child));
        poll_until(Duration::from_secs(120), sealing).ok_or("the second backup did not come to its publish")?;
        // It may have ended already; then there was nothing to kill.
        drop(child.kill());
        println!("  backup: {}", child.wait()?);
        let all_run =
            || ServiceName::IN_STOP_ORDER.into_iter().all(|name| self.workload.is_running(name).unwrap_or(false));
        poll_until(Duration::from_secs(30), || all_run().then_some(())).ok_or("the services did not come back")?;
        println!("  the services run");
        self.run(&["snapshots"], 0)?;
        self.run(&["verify", &old, "--read-data"], 0)?;
        Ok(())
    }

    fn wreck_and_recover(&self) -> Chore {
        self.run(&["backup"], 0)?;
        println!("\nthe site is wrecked: inboxes gone, database overwritten, registry emptied");
        self.workload.stop_all()?;
        fs::remove_dir_all(self.site.install_dir().join("inboxes"))?;
        fs::write(self.site.database(), b"not a database any more")?;
        fs::write(self.site.registry_file(), "Windows Registry Editor Version 5.00\r\n")?;
        self.run(&["recover", "--overwrite-newer"], 0)?;
        let counters = self.site.counters()?;
        println!("  {counters}");
        if !counters.agree() {
            return Err("the recovered numbers differ".into());
        }
        self.run(&["rehearse"], 0)?;
        Ok(self.workload.start_all()?)
    }

    /// Services that only say that they have stopped: what a backup without a freeze is.
    fn without_freeze(&self) -> Chore {
        println!("\nthe same without freeze: the services say that they have stopped, and go on writing");
        for name in ServiceName::IN_STOP_ORDER {
            self.workload.set_fault(Fault::LiesAboutStop, name)?;
        }
        for round in 0..30 {
            self.workload.wait_for_progress()?;
            let ran = tests::program::finish(self.command(&["backup"]).spawn()?)?;
            let to = self.place.join(format!("torn-{round}"));
            let counters = self.recovered_to(&to)?;
            fs::remove_dir_all(&to)?;
            if !counters.agree() {
                println!("  {counters} (and the backup said so: exit code {})", ran.code);
                self.workload.clear_faults()?;
                return Ok(());
            }
        }
        Err("thirty backups without freeze showed no torn numbers".into())
    }

    fn recovered_to(&self, to: &Path) -> Told<Counters> {
        fs::create_dir(to)?;
        let shown = to.to_str().ok_or("the demo's folder is not Unicode")?;
        let ran = tests::program::finish(self.command(&["recover", "--to", shown]).spawn()?)?;
        if ran.code != 0 {
            return Err(format!("{ran:#?}").into());
        }
        let below = |path: &Path| to.join(path.strip_prefix("/").unwrap_or(path));
        let registry = to.join("registry/SMSbkSiteRegSMS.dat");
        Ok(read_counters(&below(&self.site.install_dir()), &below(&self.site.database()), &registry)?)
    }

    /// The last, good state stays for anybody to look at.
    fn judge_for_yourself(&self) -> Chore {
        self.run(&["backup"], 0)?;
        self.workload.stop_all()?;
        let recovered = self.place.join("recovered");
        let counters = self.recovered_to(&recovered)?;
        println!("\nrecovered to another place: {counters}");
        let sums = tests::program::finish(self.command(&["files", "--b3sum"]).spawn()?)?;
        let list = self.place.join("b3sums.txt");
        fs::write(&list, sums.stdout)?;
        let snapshot = self.site.destination().join("P01Backup");
        let original = |path: &Path| recovered.join(path.strip_prefix("/").unwrap_or(path));
        println!("\nthe folder stays; judge for yourself with stock programs:");
        println!(
            "  sqlite3 {} 'PRAGMA integrity_check; SELECT * FROM v_Site'",
            snapshot.join("SiteDBServer/CM_P01.db").display()
        );
        println!(
            "  diff -r {} {}",
            snapshot.join("SiteServer/SMSServer/data").display(),
            original(&self.site.install_dir().join("data")).display()
        );
        println!("  cd {} && b3sum --check {}", snapshot.display(), list.display());
        Ok(())
    }
}

/// Whether a staging folder is being sealed: its list is written, its name not yet given.
fn sealing(destination: &Path) -> Option<()> {
    let folders = fs::read_dir(destination).ok()?.filter_map(io::Result::ok);
    let mut staging = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(".sitebackup-"));
    staging.any(|entry| entry.path().join("files.jsonl.zst").exists()).then_some(())
}

fn child_ended(child: &mut std::process::Child) -> Option<()> {
    child.try_wait().ok().flatten().map(drop)
}
