// SPDX-License-Identifier: Apache-2.0

package sim

import "chronik/wal"

// manyPieces is from how many on pieces are larger than they should be, so that there aren't more of them.
const manyPieces = 256

// checkWrite fails a run in which a write carries more of states than it may: everybody who waits for a sync waits for all of
// it. A state is in pieces if it is larger than one, and a write has one of them, and what is moved at once.
func (w *world) checkWrite(b *broker, op wal.Op) {
	most := b.pieceBytes
	if most == 0 || len(op.Data) <= most {
		return
	}
	pieces, parts := 0, uint64(0)
	err := wal.Walk(op.Data, func(r *wal.Record) {
		size := len(r.Checkpoint.Data)
		switch {
		case r.Type == wal.RecordPiece:
			pieces, parts = pieces+size, max(parts, r.Piece.Parts)
		case (r.Type == wal.RecordCheckpoint || r.Type == wal.RecordInstall) && size > most && r.Checkpoint.Index > 1: // founders begin with one
			w.fail("large-write", "broker %d writes a state of %d bytes at once, of group %d at entry %d; a piece has %d", b.number, size, r.Group, r.Checkpoint.Index, most)
		}
	})
	if err == nil && parts < manyPieces && pieces > most+b.moveBytes {
		w.fail("large-write", "broker %d writes %d bytes of pieces of states at once; a piece has %d", b.number, pieces, most)
	}
}

// preparedAtOnce is how many bytes of a new file one sync may cover.
const preparedAtOnce = 512 << 10

// checkPrepared fails a run in which the preparation of a file syncs much at once: a device lets every group commit wait
// meanwhile. (A simulated sync takes as long whatever it covers.)
func (w *world) checkPrepared(b *broker, op wal.Op) {
	if op.Kind == wal.OpPrepare && b.disk.covered > preparedAtOnce {
		w.fail("large-sync", "broker %d prepares %s of %d bytes and syncs %d of them at once", b.number, op.File, op.N, b.disk.covered)
	}
}
