// SPDX-License-Identifier: Apache-2.0

package txn

import "fmt"

// Check looks at what must always hold.
func (s *State) Check() error {
	for i, t := range s.all {
		if i > 0 && s.all[i-1].Name >= t.Name {
			return fmt.Errorf("transactional id %q is out of order", t.Name)
		}
		if err := t.check(); err != nil {
			return fmt.Errorf("transactional id %q: %w", t.Name, err)
		}
	}
	return nil
}

func (t *Transaction) check() error {
	switch {
	case t.Name == "":
		return fmt.Errorf("it has no name")
	case t.Status > CompleteAbort:
		return fmt.Errorf("it is in status %d", t.Status)
	case t.Producer.ID < 0 || t.Producer.Epoch < 0 || t.Producer.Epoch > LastEpoch:
		return fmt.Errorf("its producer is %v", t.Producer)
	case t.Idle() != (len(t.Groups) == 0):
		return fmt.Errorf("%d groups take part, and its status is %v", len(t.Groups), t.Status)
	case t.Deciding() != (t.Marker != None):
		return fmt.Errorf("its markers carry %v, and its status is %v", t.Marker, t.Status)
	case t.Deciding() && (t.Number <= t.Began || t.Number > t.Touched):
		return fmt.Errorf("it began with entry %d, was decided with entry %d and changed last with entry %d", t.Began, t.Number, t.Touched)
	case t.Status == Ongoing && (t.Number > t.Began || t.Began > t.Touched || t.Replaced != None):
		return fmt.Errorf("it began with entry %d after a decision with entry %d, changed last with entry %d, and is in the place of %v", t.Began, t.Number, t.Touched, t.Replaced)
	case t.Replaced == t.Producer:
		return fmt.Errorf("producer %v is in its own place", t.Producer)
	}
	return nil
}
