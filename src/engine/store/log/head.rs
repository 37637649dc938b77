//! The head: the segment that is being written.

use super::{
    Settings,
    disk::{Disk, DiskFile},
    fault::Fault,
    segment::{self, Header, SPARE},
};

/// The segment that is being written.
pub(super) struct Head {
    file: Box<dyn DiskFile>,
    header: Header,
    /// Where the next frame begins.
    end: u64,
    /// The length of the file. From `end` on it has zeros or old frames.
    length: u64,
    /// Whether something was written since the last sync.
    is_dirty: bool,
}

impl Head {
    /// Makes a new segment, in the spare file if there is one. It has its name when it is whole.
    pub(super) fn make(disk: &dyn Disk, header: Header, has_spare: bool) -> Result<Head, Fault> {
        let file = match has_spare {
            true => disk.open(SPARE)?,
            false => disk.create(SPARE)?,
        };
        file.write_at(0, &header.to_bytes())?;
        file.sync()?;
        disk.rename(SPARE, &segment::name(header.number, false))?;
        disk.sync_names()?;
        Ok(Head {
            length: file.len()?,
            file,
            header,
            end: segment::HEADER as u64,
            is_dirty: false,
        })
    }

    /// Goes on with a segment whose frames end at `end`. Everything behind them is cut off: an old
    /// frame there would count again when the frames before it are replaced.
    pub(super) fn go_on(file: Box<dyn DiskFile>, header: Header, end: u64) -> Result<Head, Fault> {
        if file.len()? > end {
            file.set_len(end)?;
        }
        Ok(Head {
            file,
            header,
            end,
            length: end,
            is_dirty: true,
        })
    }

    pub(super) fn number(&self) -> u32 {
        self.header.number
    }

    pub(super) fn salt(&self) -> u32 {
        self.header.salt
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The length of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether a frame of this length belongs into this segment. A frame that is longer than a
    /// segment has one for itself.
    pub(super) fn has_room(&self, frame: usize, settings: &Settings) -> bool {
        let is_new = self.end == segment::HEADER as u64;
        is_new || self.end + frame as u64 <= settings.segment
    }

    /// Writes a frame, and zeros behind it if the file ends there. Empties the buffer.
    ///
    /// A sync of a file that has become longer takes another half of the time, since its length and
    /// its blocks have to be written too. So the file grows by large pieces.
    pub(super) fn write(&mut self, frame: &mut Vec<u8>, settings: &Settings) -> Result<(), Fault> {
        let length = frame.len();
        let end = self.end + length as u64;
        // A long frame is worth a sync that takes longer.
        if end > self.length && length as u64 <= settings.ahead / 4 {
            let ahead = (end + 1).next_multiple_of(settings.ahead);
            let ahead = ahead.min(settings.segment).max(end);
            frame.resize((ahead - self.end) as usize, 0);
        }
        self.is_dirty = true;
        self.file.write_at(self.end, frame)?;
        self.length = self.length.max(self.end + frame.len() as u64);
        self.end = end;
        frame.clear();
        frame.shrink_to(settings.buffer);
        Ok(())
    }

    /// Writes bytes again that are there already.
    pub(super) fn write_again(&mut self, from: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.is_dirty = true;
        Ok(self.file.write_at(from, bytes)?)
    }

    pub(super) fn sync(&mut self) -> Result<(), Fault> {
        if self.is_dirty {
            self.file.sync()?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// Cuts off everything behind the last frame.
    pub(super) fn cut(&mut self) -> Result<(), Fault> {
        self.file.set_len(self.end)?;
        self.length = self.end;
        self.is_dirty = true;
        self.sync()
    }
}
