//! A mouse on a Wayland compositor: the few messages of wlr-virtual-pointer that a click takes, by hand. The pointer is
//! there for as long as its connection.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

const DISPLAY: u32 = 1;
const REGISTRY: u32 = 2;
const CALLBACK: u32 = 3;
const MANAGER: u32 = 4;
const POINTER: u32 = 5;

/// Linux' codes.
#[derive(Clone, Copy)]
pub enum Button {
    Left = 0x110,
    Right = 0x111,
}

/// A mouse that has been moved.
pub struct Pointer {
    compositor: UnixStream,
    time: u32,
}

impl Pointer {
    /// A mouse over `position` of a screen of this size.
    pub fn over(socket: &Path, size: (u32, u32), position: (u32, u32)) -> Self {
        let mut pointer = Self { compositor: UnixStream::connect(socket).unwrap(), time: 0 };
        pointer.send(DISPLAY, 1, &[REGISTRY]);
        pointer.send(DISPLAY, 0, &[CALLBACK]);
        let (name, interface) = pointer.manager();
        // bind: the global's name, its interface as a string, the version, the new object.
        let mut bind = vec![name, u32::try_from(interface.len()).unwrap() + 1];
        let mut text = interface.into_bytes();
        text.resize((text.len() + 4) & !3, 0);
        bind.extend(text.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())));
        bind.extend([1, MANAGER]);
        pointer.send(REGISTRY, 0, &bind);
        const ANY_SEAT: u32 = 0;
        pointer.send(MANAGER, 0, &[ANY_SEAT, POINTER]);
        let time = pointer.tick();
        pointer.send(POINTER, 1, &[time, position.0, position.1, size.0, size.1]);
        pointer.send(POINTER, 4, &[]);
        pointer
    }

    /// Presses and releases.
    pub fn click(&mut self, button: Button) {
        for pressed in [1, 0] {
            let time = self.tick();
            self.send(POINTER, 2, &[time, button as u32, pressed]);
            self.send(POINTER, 4, &[]);
        }
    }

    fn tick(&mut self) -> u32 {
        self.time += 10;
        self.time
    }

    fn send(&mut self, object: u32, opcode: u32, arguments: &[u32]) {
        let size = 8 + 4 * u32::try_from(arguments.len()).unwrap();
        let words = [object, size << 16 | opcode].into_iter().chain(arguments.iter().copied());
        let bytes: Vec<u8> = words.flat_map(u32::to_ne_bytes).collect();
        self.compositor.write_all(&bytes).unwrap();
    }

    /// Reads the globals until the compositor has told all: the one that makes pointers.
    fn manager(&mut self) -> (u32, String) {
        let mut found = None;
        loop {
            let mut head = [0; 8];
            self.compositor.read_exact(&mut head).unwrap();
            let word = |at: usize, bytes: &[u8]| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
            let mut body = vec![0; (word(4, &head) >> 16) as usize - 8];
            self.compositor.read_exact(&mut body).unwrap();
            match word(0, &head) {
                REGISTRY => {
                    let length = word(4, &body) as usize;
                    let interface = String::from_utf8_lossy(&body[8..8 + length - 1]).into_owned();
                    if interface == "zwlr_virtual_pointer_manager_v1" {
                        found = Some((word(0, &body), interface));
                    }
                }
                CALLBACK => return found.expect("a compositor with virtual pointers"),
                _ => {}
            }
        }
    }
}
