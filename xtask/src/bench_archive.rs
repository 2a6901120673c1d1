//! Measures the archive beside restic, borg and rustic, in alternating rounds, on two days of the site that it is measured by.

#[cfg(unix)]
mod memory;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tests::archive_site::{ArchiveSite, shifted_dump};

use crate::Chore;
use crate::bench::{Measured, fresh, median, peak_of, size_of, sync};
use crate::shell;

/// A program that archives: scripts of the shell, each of which replaces it, with `REPO`, `SITE` and `TO` set.
struct Tool {
    name: &'static str,
    init: &'static str,
    store: &'static str,
    /// Opens the repository and little else: what deriving a key costs each other step.
    open: &'static str,
    check: &'static str,
    restore: &'static str,
    /// Lets go of all snapshots but the newest.
    forget: &'static str,
    prune: &'static str,
}

const TOOLS: [Tool; 4] = [
    Tool {
        name: "sitebackup",
        init: "exec sitebackup archive init $REPO",
        store: "exec sitebackup archive $SITE --code P01",
        open: "exec sitebackup archive snapshots",
        check: "exec sitebackup archive verify --read-data",
        restore: "exec sitebackup archive restore latest --to $TO",
        // The product's kind of folder says nothing of its moment but by its time, so the second day is the newest.
        forget: "for id in $OLD; do sitebackup archive forget $id || exit; done",
        prune: "exec sitebackup archive prune",
    },
    Tool {
        name: "restic",
        init: "exec restic init",
        store: "exec restic backup $SITE",
        open: "exec restic snapshots",
        check: "exec restic check --read-data",
        restore: "exec restic restore latest --target $TO",
        forget: "exec restic forget --keep-last 1",
        prune: "exec restic prune",
    },
    Tool {
        name: "borg",
        init: "exec borg init -e repokey-blake2",
        store: "exec borg create -C zstd,3 ::{now:%s%f} $SITE",
        open: "exec borg list",
        check: "exec borg check --verify-data",
        restore: "cd $TO && exec borg extract ::$(borg list --last 1 --short)",
        forget: "exec borg prune --keep-last 1",
        prune: "exec borg compact",
    },
    Tool {
        name: "rustic",
        init: "exec rustic init",
        store: "exec rustic backup $SITE",
        open: "exec rustic snapshots",
        check: "exec rustic check --read-data",
        restore: "exec rustic restore latest $TO",
        forget: "exec rustic forget --keep-last 1",
        prune: "exec rustic prune --instant-delete",
    },
];

impl Tool {
    fn is_here(&self) -> bool {
        self.name == "sitebackup" || shell::has(self.name)
    }
}

/// What one call of a script took.
#[derive(Default)]
struct Taken {
    wall: Vec<Duration>,
    cpu: Vec<Duration>,
    /// Most memory held, in KiB; of a script that does not replace its shell, the shell's.
    peak: u64,
    /// By how much the repository grew, in bytes, in the last round.
    grown: i64,
}

/// One round's folder. Nothing is removed before all rounds are done: for five minutes ext4 looks through the inodes of what was removed
/// whenever a file is made, which makes a restore two or three times as slow, and `cp -a` too.
struct Bench {
    programs: PathBuf,
    place: PathBuf,
}

impl Bench {
    fn site(&self) -> PathBuf {
        self.place.join("site")
    }

    fn repository(&self, tool: &Tool) -> PathBuf {
        self.place.join(tool.name)
    }

    fn restored(&self, by: &str) -> PathBuf {
        self.place.join(format!("{by}.restored"))
    }

    fn command(&self, tool: &Tool, script: &str, site: &Path) -> Command {
        let repository = self.repository(tool);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("PATH", format!("{}:{path}", self.programs.display()));
        command.env("REPO", &repository).env("SITE", site).env("TO", self.restored(tool.name));
        for name in ["SITEBACKUP_REPOSITORY", "RESTIC_REPOSITORY", "BORG_REPO", "RUSTIC_REPOSITORY"] {
            command.env(name, &repository);
        }
        for name in ["SITEBACKUP_PASSPHRASE", "RESTIC_PASSWORD", "BORG_PASSPHRASE", "RUSTIC_PASSWORD"] {
            command.env(name, "correct horse battery staple");
        }
        for name in ["RESTIC_CACHE_DIR", "RUSTIC_CACHE_DIR", "BORG_BASE_DIR"] {
            command.env(name, self.place.join(format!("{}.cache", tool.name)));
        }
        command.stderr(std::process::Stdio::null());
        command
    }

    fn begin(&self, tool: &Tool) -> Measured<()> {
        fresh(&self.repository(tool))?;
        fresh(&self.place.join(format!("{}.cache", tool.name)))?;
        peak_of(&mut self.command(tool, tool.init, &self.site())).map(drop)
    }

    fn take(&self, tool: &Tool, script: &str, taken: &mut Taken) -> Measured<()> {
        let repository = self.repository(tool);
        let mut command = self.command(tool, script, &self.site());
        command.env("OLD", old_snapshots(&repository.join("snapshots"))?.join(" "));
        let before = size_of(&repository);
        sync();
        let (began, cpu) = (Instant::now(), cpu_of_children()?);
        taken.peak = taken.peak.max(peak_of(&mut command)?);
        taken.wall.push(began.elapsed());
        taken.cpu.push(cpu_of_children()? - cpu);
        taken.grown = size_of(&repository) as i64 - before as i64;
        Ok(())
    }
}

/// All snapshots of ours but the newest; none of the others'.
fn old_snapshots(folder: &Path) -> Measured<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        found.push((entry.metadata()?.modified()?, entry.file_name().to_string_lossy().into_owned()));
    }
    found.sort();
    found.pop();
    Ok(found.into_iter().map(|(_, id)| id).collect())
}

/// The steps of a round, in their order.
const STEPS: [&str; 8] = ["first", "unchanged", "open", "day 2", "check", "restore", "forget", "prune"];

pub(crate) fn run(args: &[String]) -> Chore {
    let number = |name: &str, usual: f64| {
        args.iter().skip_while(|arg| *arg != name).nth(1).map_or(Ok(usual), |n| n.parse::<f64>())
    };
    let (rounds, scale) = (number("--rounds", 3.0)? as usize, number("--scale", 1.0)?);
    let (programs, place) = (shell::build(true)?, fresh(&shell::root().join("target/bench"))?);
    let bench =
        |name: &str| -> Measured<Bench> { Ok(Bench { programs: programs.clone(), place: fresh(&place.join(name))? }) };
    #[cfg(unix)]
    if args.iter().any(|arg| arg == "--memory") {
        memory::measure(&bench("memory")?, number("--memory", 0.0)? as u64)?;
        return Ok(fs::remove_dir_all(&place)?);
    }
    let tools: Vec<&Tool> = TOOLS.iter().filter(|tool| tool.is_here()).collect();
    for absent in TOOLS.iter().filter(|tool| !tool.is_here()) {
        println!("{} is not installed and not measured", absent.name);
    }
    let mut taken: BTreeMap<(usize, &str), Taken> = BTreeMap::new();
    let mut copied = Vec::new();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        self::round(&bench(&format!("round{round}"))?, &tools, scale, &mut taken, &mut copied)?;
    }
    print(&tools, &mut taken, median(&mut copied));
    println!(
        "\nnew data, MiB: of a page file of which 1 % of the pages changed; of a dump whose header grew by 1,536 bytes"
    );
    for tool in tools {
        let [pages, dump] = growth(&bench(&format!("growth.{}", tool.name))?, tool, scale)?
            .map(|bytes| bytes as f64 / f64::from(1 << 20));
        println!("{:12} {pages:>8.2} {dump:>8.2}", tool.name);
    }
    Ok(fs::remove_dir_all(&place)?)
}

fn round<'a>(
    bench: &Bench,
    tools: &[&'a Tool],
    scale: f64,
    taken: &mut BTreeMap<(usize, &'a str), Taken>,
    copied: &mut Vec<Duration>,
) -> Measured<()> {
    let site = ArchiveSite::build(&fresh(&bench.site())?, scale)?;
    // What changed in the last two seconds nobody takes for unchanged.
    std::thread::sleep(Duration::from_secs(3));
    for (n, step) in STEPS.iter().enumerate() {
        if *step == "day 2" {
            site.day_two()?;
        }
        if *step == "restore" {
            copied.push(copy(&bench.site(), &bench.restored("cp"))?);
        }
        for tool in tools {
            let taken = taken.entry((n, tool.name)).or_default();
            let script = match *step {
                "first" => {
                    bench.begin(tool)?;
                    tool.store
                }
                "unchanged" | "day 2" => tool.store,
                "open" => tool.open,
                "check" => tool.check,
                "restore" => tool.restore,
                "forget" => tool.forget,
                _ => tool.prune,
            };
            if *step == "restore" {
                fresh(&bench.restored(tool.name))?;
            }
            bench.take(tool, script, taken)?;
            if *step == "restore" && tool.name == "sitebackup" {
                let folders = [bench.site(), bench.restored(tool.name)];
                shell::run(Command::new("diff").args(["-r", "--no-dereference"]).args(folders))?;
            }
        }
    }
    Ok(())
}

fn copy(site: &Path, to: &Path) -> Measured<Duration> {
    sync();
    let began = Instant::now();
    shell::run(Command::new("cp").arg("-a").args([site, to]))?;
    Ok(began.elapsed())
}

/// By how much a second day grows the repository, for a page file alone and for a shifted dump alone.
fn growth(bench: &Bench, tool: &Tool, scale: f64) -> Measured<[u64; 2]> {
    let site = ArchiveSite::build(&fresh(&bench.place.join("days"))?, scale)?;
    let mut grown = [0; 2];
    // The dump comes second: both its days are of the same pages.
    for (grown, of_dump) in grown.iter_mut().zip([false, true]) {
        let folder = fresh(&bench.site())?;
        let file = folder.join(if of_dump { "CM_P01.bak" } else { "CM_P01.mdf" });
        bench.begin(tool)?;
        let repository = bench.repository(tool);
        let store = || peak_of(&mut bench.command(tool, tool.store, &folder)).map(|_| size_of(&repository));
        let write = |extra| match of_dump {
            true => shifted_dump(&site.page_file(), &file, extra),
            false => fs::copy(site.page_file(), &file).map(drop),
        };
        write(0)?;
        let first = store()?;
        if !of_dump {
            site.day_two()?;
        }
        write(1536)?;
        *grown = store()? - first;
    }
    Ok(grown)
}

fn print(tools: &[&Tool], taken: &mut BTreeMap<(usize, &str), Taken>, copied: Duration) {
    println!("\n{:10} {:12} {:>8} {:>8} {:>6} {:>8} {:>10}", "", "", "wall s", "CPU s", "MiB", "of ours", "grown MB");
    for (n, step) in STEPS.iter().enumerate() {
        let mut ours = 0.0;
        for tool in tools {
            let Some(taken) = taken.get_mut(&(n, tool.name)) else { continue };
            let (wall, cpu) = (median(&mut taken.wall).as_secs_f64(), median(&mut taken.cpu).as_secs_f64());
            if tool.name == "sitebackup" {
                ours = wall;
            }
            let (peak, grown) = (taken.peak / 1024, taken.grown as f64 / 1e6);
            let name = tool.name;
            println!("{step:10} {name:12} {wall:>8.2} {cpu:>8.2} {peak:>6} {:>8.2} {grown:>10.3}", wall / ours);
        }
        if *step == "restore" {
            let copied = copied.as_secs_f64();
            println!("{:10} {:12} {copied:>8.2} {:>24.2}", "", "cp -a", copied / ours);
        }
    }
}

/// User and system time of all children that have ended, which the kernel counts in hundredths of a second.
fn cpu_of_children() -> Measured<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The program's name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |n: usize| fields.get(n).ok_or("no times in /proc/self/stat")?.parse::<u64>().map_err(|e| e.to_string());
    Ok(Duration::from_millis(10 * (ticks(13)? + ticks(14)?)))
}
