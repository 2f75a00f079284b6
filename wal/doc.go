// SPDX-License-Identifier: Apache-2.0

// Package wal is one broker's write-ahead log: the only thing that a broker writes to disk.
//
// One idea: many groups (raft logs) share one sequence of records. So one write and one sync make
// everything durable that arrived meanwhile, whatever the number of groups. A Log decides what is
// written where, and is told the result; the world carries it out with Do. Only Open does I/O itself.
//
//	Append, SetVote, ... -> chunks in memory -> Next: OpWrite -> Do -> Done -> Durable
//
// Files: log.go what a caller does; checkpoint.go the states that a group's entries have built; stage.go large ones;
// flush.go group commit and segments; index.go where each entry is; read.go reading back, scatter.go which bytes that takes;
// move.go emptying segments; replace.go entries that shrink; scrub.go looking for rot; check.go does all that is noted agree; slot.go files; owner.go whose they are; record.go, segment.go and
// table.go the bytes; sums.go checksums of any stretch; recover.go, replay.go and legible.go Open; inspect.go and shadow.go reading a log
// without changing it; fs.go and op.go the disk.
//
// # Positions, segments, files
//
// An LSN is a byte position in the life of the log. A segment is a stretch of it that lies in one
// file, whose header holds the segment's sequence number and its base, the LSN of the file's
// first byte. The next segment's base is where the last record of this one ends. File names
// (0001.wal) mean nothing: a file is a slot. When nothing in its segment is needed any more,
// another segment takes the slot over without deleting anything. New files are filled with zeros
// before they are used. Both are done because syncing overwritten blocks is two to three times
// faster than syncing appended ones.
//
// # Bytes
//
// All numbers are little-endian. A segment file:
//
//	0        64                                                        size
//	| header | manifest | state of each group | record | ... | seal | open | ... | old or zero |
//
// An open record follows a seal only if a process died between the seal and the beginning of the
// next segment.
//
// Segment header, 64 bytes:
//
//	 0  magic "CHRONWAL"
//	 8  u32 CRC-32C of bytes 12 to 63
//	12  u32 format version, 5; in segments of version 4 checksums have no seed, those of version 3 hold no checkpoints
//	    in pieces, and those of version 2 no packed entries
//	16  u64 sequence number, from 1
//	24  u64 base
//	32  u32 epoch of the records that follow
//	36  u32 number of state records that follow the manifest
//	40  u64 offset of the seal of the segment before, 0 in segment 1
//	48  16 bytes that name the owner; zeros in segments of earlier releases
//
// Record, a multiple of 8 bytes:
//
//	 0  u32 CRC-32C of everything after it, payload and padding included, with the owner's CRC-32C as seed (Owner.seed)
//	 4  u32 length of the payload
//	 8  u64 LSN of this record
//	16  u64 durable: everything below this LSN was synced when the record was written
//	24  u32 epoch
//	28  u8  type; 0 is never written
//	29  u8  kind (entry); 1 for a state with ids; otherwise 0
//	30  u16 0
//	32  u64 group, 0 if the type has none
//	40  payload, then zeros up to a multiple of 8
//
// Payloads, all u64 but for the data:
//
//	 1 open        -
//	 2 manifest    first, count, sealAt; ...          runs of sequence numbers, without its own;
//	                                                  sealAt is the offset of the last one's seal
//	 3 state       term, vote, commit, first, prevTerm, last, lastTerm; index; index; ...
//	               with ids: ...; index, id; index, id; ...   id is 0 if the checkpoint is one record
//	 4 entry       index, term, data
//	 5 vote        term, vote
//	 6 commit      commit
//	 7 release     first, prevTerm                    prevTerm is the term of entry first-1
//	 8 remove      -
//	 9 seal        table
//	10 checkpoint  index, term, data
//	11 install     index, term, data
//	12 drop        index
//	13 moved       index, term, data
//	14 packed      first, last, term, data
//	15 piece       index, term, id, part, parts, data     id is the LSN of the first piece, where it was at first
//	16 end         index, term, id, what                  0: given up, 1: a checkpoint, 2: an install
//
// A group's state is what its records say, one after the other:
//
//   - An entry replaces the group's entries from its index on.
//   - A state record replaces everything except the entries first to last, and the checkpoints at
//     the indexes that it lists. Those it keeps.
//   - A release commits and drops the entries below first and the checkpoints below first-1.
//   - A checkpoint replaces one at the same index.
//   - An install drops all entries and checkpoints of the group, commits up to its index, and is a
//     checkpoint itself.
//   - A moved entry is one that the group already has at this index, with the same data or with what
//     compaction has left of it (Replace). It changes no other entry.
//   - A piece changes nothing. It is known with its id until an end record of that id, and then belongs to
//     that checkpoint if there is one. Removal, an install and an open record forget pieces, too.
//   - An end does what the record of type 10 or 11 would do, with the data of all pieces.
//   - Packed entries are entries first to last that the group already has. The data describes each
//     of them, in a way that only the caller knows.
//
// The table in a seal says where in the segment the entries and checkpoints are that were live
// when it ended, as a sequence of unsigned varints (base 128, low bits first):
//
//	number of groups; for each group, ascending:
//	    group; number of runs; for each run, ascending by index:
//	        index of the first entry; term; number of entries; for each entry:
//	            bytes between the end of the entry before it in the run and its record, / 8
//	            (before the first: bytes from the beginning of the file)
//	            bytes of its record / 8
//	    since version 3: number of packed runs; for each, ascending by index:
//	        index of the first entry; term; number of entries; offset of the record / 8; its bytes / 8
//	    number of checkpoints in one record; for each, ascending by index:
//	        index; term; bytes of data; offset of its record / 8
//	    since version 4: number of pieces of checkpoints; for each:
//	        index; term; id; part; parts; bytes of data; offset of its record / 8
//
// # What Open reads
//
// Open reads the header of each segment, the seals of those that ended, and the whole last one. That
// is enough:
//
//   - The last segment begins with the exact state of each group and goes on with everything that
//     was done since. It lacks only the places of older entries and checkpoints.
//   - If an entry or checkpoint is live, it was live when its segment ended, so that segment's table
//     has it. Tables may have several copies: the same index written again after a truncation, or
//     after the group was removed and re-created. If any of them is live, it is the youngest,
//     because whatever replaces an entry or a checkpoint is written after it. So a row of a younger
//     table replaces one of an older table.
//   - Tables also have rows of what died later: ghosts. Entries outside first to last, and checkpoints
//     that the state in the last segment doesn't list, are dropped when it is read. Ghosts within
//     that range were replaced by live entries.
//   - Then each group's index must be exact. If it isn't, Open refuses.
//
// So rot in a record of a segment that ended doesn't keep the broker from starting, and Open doesn't
// find it. Every read does: Entries and CheckpointData verify the checksum (Do computes those of entries, right after it
// has read them), compare group, index,
// term and place, and say whose replica is damaged (Damage). A scrub (ScrubOp) verifies what nobody
// reads, as fast as the caller likes. Rot in a seal or a header does keep the broker from starting;
// a running log empties such a segment as soon as a scrub finds it.
//
// # Why an install is one record
//
// A group whose log begins after entry 1 needs the state that the missing entries have built. So it
// must never begin there without its checkpoint: not in any prefix of the log, because a torn write
// may leave any prefix. One record under one checksum is there as a whole or not at all. A release
// needs no such care. It refers to a checkpoint that comes before it in the log, so any prefix that
// holds the release holds the checkpoint too.
//
// # Checkpoints in pieces
//
// Everybody who waits for a flush waits for all that is in it, so a checkpoint of many megabytes must not be one record.
// Stage puts its data into the log in pieces. A flush has one at most, beside what others wait for: the next piece is
// buffered when the one before is durable. Pieces mean nothing; the checkpoints before, and the entries that those
// need, stay. When all are in the log, AddCheckpoint or Install writes an end record, which is small. It is what a
// crash leaves as a whole or not at all. It comes after all of its pieces, so any prefix of the log that holds it
// holds them.
//
// A piece is live from the moment it is buffered, so its segment stays. Pieces may lie in several segments, and each
// is moved by itself. The tables of those segments have them whether or not their checkpoint has come to be. Only the last segment
// says that: the states at its beginning name the checkpoints with their ids, and the end records after it name
// others. An id is a position, which no other checkpoint of this log ever has, so pieces of two attempts are never taken for those of one. What no
// state and no end record names is a ghost, and is dropped when everything is read. So an attempt doesn't outlive its process. An end record may name pieces
// that aren't there any more: if the checkpoint was dropped after it, the last manifest may have left their segment out. So
// only what is live at the end of the log must be whole.
//
// # Why a segment begins with all states
//
// So that votes and commit indexes never keep an old segment alive, and segments may be dropped in any
// order. A segment is part of the log as long as some group has a live entry or checkpoint in it. The
// newest manifest lists these segments. The file of a segment that it leaves out is free as soon as
// the manifest is durable. Records of a dropped segment may have replaced, released or removed what
// an older segment's table still has. The record that killed such a ghost was durable, or its segment
// wouldn't be gone. So its effect is in the states with which the last segment begins.
//
// # How a segment is emptied
//
// One entry of an idle group would keep its segment for ever. So when little is live in an old
// segment, the log reads it piece by piece (OpMove) and appends the live records again at its end:
// entries as moved records, checkpoints as they were. Then nothing in the segment is needed. When a
// piece has been read, the index decides what of it is still live; nothing can change between that
// and the append. So what was moved is always a copy of what is live at that point of the log, and
// whatever replaces it later comes after it. The youngest copy is the right one for recovery, moved
// or not.
//
// A crash leaves a prefix of the log. If it ends before a moved record, the old one counts. If it ends
// after it, the log holds both and the younger counts. The manifest that leaves the emptied segment
// out comes after everything that was moved out of it. So until a copy is durable the old record
// exists, and reads look for it there.
//
// Moves come to an end. A segment is emptied only if its live records, and the manifest that leaves it
// out, fill a small share of a segment; or, while the caller refuses records because the disk is full, if a
// quarter of a segment is gained. A move on a full disk is begun only if there is room for all that is live in the
// segment: part of a move takes room and frees nothing. Damaged records aren't moved. They stay, so that the next read
// finds the damage too.
//
// # Entries that shrink
//
// Compaction drops superseded values from a batch. Replace appends what is left of it as a moved record with the
// same index and term. Here the younger copy has other data than the old one, and a crash between the two leaves the old
// one. Both are right: the caller promises that the entry means the same without what it dropped. Nobody relies
// on the new data before it is durable, because reads return the old record until then, and that record is kept like that
// of any move. Only committed, durable entries are replaced, so no truncation can come between the two.
//
// # Packed entries
//
// If a caller's entries have shrunk to almost nothing, a record for each costs more than what is left of
// them. Pack replaces many such records by one, which is written as a move is. They stay entries: each has its
// index and term, and each can be the last one that a follower has. Only the log's beginning may move into a
// packed run; its end can't, since packed entries are committed. A packed run is packed again, or moved, only as a
// whole. So a record always counts for all entries in it that the log still has, and recovery needs only the record.
//
// # Why an old record is never taken for a new one
//
// Bytes from an earlier life of a file carry an LSN that doesn't fit their place. That leaves
// records of this life of the file after the place where the log was cut. They carry an older
// epoch. The epoch grows by one at each Open. Its open record is the first with the new epoch, is
// alone in its write, and is synced before anything else is written. A record counts only if its
// epoch is that of the record before it; an open record, if its epoch is one more.
//
// If Open dies before its sync, its open record is there or not. If it is, the next Open sees it
// and counts one further. If it isn't, the next Open uses the same epoch again; no record but
// that open record was ever written with it, and the open record goes to the same place with the
// same bytes. This holds however often it happens.
//
// # What we assume of a disk
//
//   - After Sync returned without an error, the bytes survive; after SyncDir, the names.
//   - A power loss leaves each 512-byte sector that was being written old or new, in any
//     combination. A sector that wasn't written keeps its content. If a disk garbles a sector,
//     the checksums tell, and the log refuses if that sector held durable records.
//   - After a failed Sync nothing is known. The Log is dead; the next Open doesn't believe that
//     what it can read is on the disk, and writes it again.
//   - Nothing is assumed about the order in which parts of one write arrive.
//   - A read may fail. ErrUnreadable says that the bytes are lost on this disk, as rot is. Any other error says nothing about them.
//
// # A full disk
//
// Only OpPrepare needs space. A file is filled with zeros before it is used, and no segment grows
// beyond its file: a record that is larger than a segment waits for a file of its size, and in each
// segment there is room for its seal and for the open records of many starts. (On a file system that
// never writes in place, a full disk may strike any write. That ends the broker, like any error of a
// write.) An OpPrepare that fails with ErrNoSpace leaves no file and is not fatal. Files are prepared
// two ahead, so there is still room for more than a segment when Full begins: for votes, for what was
// proposed before, and for the records that free space. The world's FS has to wrap ErrNoSpace for ENOSPC
// and the like; the caller of the log has to stop appending, and to call Retry from time to time.
//
// What is appended without a file waits, and all that comes after it. So the caller should append no
// entry before Room has a place for it, and should wait for the next OpPrepare instead; Ask has a file
// made for an entry that is larger than a segment.
//
// # What is on the disk if we die here
//
// At most one OpWrite is under way, and it only writes after the last durable record. So the
// disk always holds all durable records, then any mixture of old bytes and the write under way.
//
//   - OpWrite into a segment. Records up to the first broken one count: they may or may not have
//     been on their way to durable, and both is right. The rest is the torn tail. Open goes on at
//     the first broken record. All records of the torn write say durable = where that write
//     began, so none of them says that the broken one was ever durable.
//   - OpWrite that begins a segment. Header, manifest and states are always one write, and the
//     seal before it is durable. If any of them is broken, nothing in the segment was ever durable,
//     and nothing was freed because of its manifest. Open drops the segment and writes its open
//     record after the seal of the previous segment; that one still exists, because only a durable
//     manifest can leave it out. Then the file is a free slot. Its header stays until another
//     segment takes the file, and anyone can see that it was dropped: where it would begin, the
//     previous segment has that open record. The next segment begins after that record, with the
//     same sequence number.
//   - OpPrepare, also one that gives up for lack of space. A file with zeros or less, or none: a
//     free slot, removed if it is too small.
//   - OpRemove. The file exists or not. No manifest lists its segment.
//   - A file that was freed and is about to be reused still has its old header. No manifest knows
//     that segment, so it isn't looked at, whatever happened to the rest of the file.
//
// Open itself reads and decides everything, then writes. In this order:
//
//   - SyncDir: names that a killed process left may not be durable.
//   - No segment at all: prepare a file, write the beginning of segment 1 with epoch 0. If we die,
//     there is still no segment, or one that is empty.
//   - Write the tail again, from the highest durable position that a record knows to the end, the
//     same bytes, and sync: a killed process left them unsynced, and a failed sync may have left
//     them in memory only. If we die, they are what they were, or on the disk.
//   - The open record, see above. Before it is durable nobody is told what the log holds: the next
//     Open may find more in the tail than this one.
//
// # When Open refuses
//
// Cutting a tail is right only if it never was durable. Open refuses with ErrCorrupt if
//
//   - a segment other than the last isn't there, has no valid seal where the manifest or the next
//     segment's header says, or the next one doesn't begin where it ends;
//   - after the first broken record of the last segment, any valid record of this life of the file,
//     whatever its epoch, says that the broken one was durable;
//   - a file that isn't part of the log holds a record that knows of durable positions beyond the
//     log's end: then a header is lost;
//   - a file's header names another owner: it was written by another broker, or in another data folder;
//   - a record contradicts those before it, a group's entries aren't exactly first to last, or its
//     checkpoints aren't exactly those that it should have.
//
// The limit: if the very last write before a crash was synced and rots afterwards, no record
// after it proves that it was durable, so it is cut like a torn tail. Raft's quorum protects
// against that. Nor does the log protect against somebody who can write its files, or who predicts
// LSNs and plants records in the data of an entry: they can make Open refuse, and no more.
package wal
