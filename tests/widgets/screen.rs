//! A Wayland compositor without a screen, and a look at what it shows. Real: sway and grim.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use session_tests::{
    process::{Process, Recipe},
    session::Session,
    within_deadline,
};
use tokio::process::Command;

use crate::path_with_sesame;

/// Between two looks at the screen, which tells nobody of its changes.
pub const LOOK: Duration = Duration::from_millis(100);

/// A red, a green and a blue.
pub type Colour = [u8; 3];

/// A screen.
pub struct Screen {
    _sway: Process,
    pub size: (u32, u32),
    pub socket: PathBuf,
    display: String,
    runtime: PathBuf,
}

impl Screen {
    /// An empty screen of this width and height.
    pub async fn start(session: &Session, size: (u32, u32)) -> Self {
        let runtime = session.home.runtime();
        let text = format!(
            "output * resolution {}x{}\noutput * bg #1d2021 solid_color\ndefault_border none\nxwayland disable\n",
            size.0, size.1
        );
        let config = session.home.write("sway", text);
        // It refuses to be root, which it is outside of its own user namespace only.
        let words =
            ["unshare", "--user", "--map-user=1000", "--map-group=1000", "sway", "-c", config.to_str().unwrap()];
        let sway = session.recipe("sway", words).with("WLR_BACKENDS", "headless").with("WLR_LIBINPUT_NO_DEVICES", "1");
        let sway = sway.with("WLR_RENDERER", "pixman").start();
        let display = within_deadline("a display", display(&runtime)).await;
        Self { _sway: sway, size, socket: runtime.join(&display), display, runtime }
    }

    /// How to start a program on this screen, with `sesame` in its PATH.
    pub fn recipe(&self, session: &Session, words: &[&str]) -> Recipe {
        let recipe = session.recipe(words[0], words).with("PATH", &path_with_sesame());
        let recipe = recipe.with("WAYLAND_DISPLAY", &self.display);
        recipe.with("NO_AT_BRIDGE", "1").with("GDK_BACKEND", "wayland")
    }

    fn grim(&self, words: &[&str]) -> Command {
        let mut grim = Command::new("grim");
        grim.args(words).env("XDG_RUNTIME_DIR", &self.runtime).env("WAYLAND_DISPLAY", &self.display);
        grim
    }

    /// What is shown, a colour a pixel, row by row.
    pub async fn pixels(&self) -> Vec<Colour> {
        let output = self.grim(&["-t", "ppm", "-"]).output().await.unwrap();
        // "P6 WIDTH HEIGHT 255", then three bytes a pixel.
        let head = output.stdout.windows(5).position(|window| window == b"\n255\n").map_or(0, |at| at + 5);
        output.stdout[head..].chunks_exact(3).map(|pixel| pixel.try_into().unwrap()).collect()
    }

    /// Waits until a pixel has a colour.
    pub async fn until(&self, what: &str, (x, y): (u32, u32), colour: Colour) {
        let look = async {
            while self.pixels().await.get((y * self.size.0 + x) as usize) != Some(&colour) {
                tokio::time::sleep(LOOK).await;
            }
        };
        within_deadline(&format!("the screen to show {what}"), look).await;
    }

    /// Waits until something is shown that is not `blank`, and no longer changes.
    pub async fn until_drawn(&self, blank: &[Colour]) {
        let look = async {
            let mut last = blank.to_vec();
            loop {
                let now = self.pixels().await;
                if now != blank && now == last {
                    return;
                }
                last = now;
                tokio::time::sleep(LOOK).await;
            }
        };
        within_deadline("the screen to be drawn", look).await;
    }

    /// The picture of an area (X,Y WIDTHxHEIGHT), for who wants to look at it: `make pictures` takes some for the README.
    pub async fn save(&self, name: &str, area: &str) {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        assert!(self.grim(&["-g", area, file.to_str().unwrap()]).status().await.unwrap().success());
    }
}

async fn display(runtime: &Path) -> String {
    loop {
        let names = fs::read_dir(runtime).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
        if let Some(name) = names.filter(|name| name.starts_with("wayland-") && !name.ends_with(".lock")).min() {
            return name;
        }
        tokio::time::sleep(LOOK).await;
    }
}
