// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chronik/node"
)

// logCluster is the cluster that the log names as its owner.
func (m *Meta) logCluster() string { return cmp.Or(m.LogCluster, m.ClusterID) }

func (m *Meta) remains() node.Remains {
	return node.Remains{Cluster: m.ClusterID, LogCluster: m.LogCluster, Broker: m.BrokerID, Incarnation: m.Incarnation, Folder: m.Folder}
}

// Remains is the folder as node.PlanMending wants it.
func (i *Inspected) Remains() (*node.Remains, error) {
	if i.Outdated != "" {
		return nil, errors.New(i.Outdated)
	}
	if err := checkMended(i.Dir); err != nil {
		return nil, err
	}
	r := i.remains()
	r.Files = i.files
	return &r, nil
}

// checkMended refuses a folder in which a plan was begun and not ended.
func checkMended(dir string) error {
	plan, err := begunPlan(dir)
	if err != nil || plan == nil {
		return err
	}
	return fmt.Errorf("the recovery of the data folder %s was begun and not ended. Run again: broker recover apply -plan %s -dir %s -confirm %s", dir, filepath.Join(dir, mendingName), dir, plan.Code())
}

// begunPlan is the plan that is being carried out in a folder, nil if none is.
func begunPlan(dir string) (*node.Mending, error) {
	text, err := os.ReadFile(filepath.Join(dir, mendingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	plan := new(node.Mending)
	if err == nil {
		err = json.Unmarshal(text, plan)
	}
	return plan, err
}

// Mend carries out a plan in a data folder that no process uses. If it was cut off it can be done again; until it is done, no
// broker starts on the folder. It returns false if there was nothing left to do.
func Mend(dir string, plan *node.Mending) (bool, error) {
	meta, err := readMeta(dir)
	if err != nil {
		return false, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return false, err
	}
	f := folder{dir: dir, lock: lock, meta: meta}
	defer f.close()
	if err := errors.Join(f.checkOutdated(), f.checkLog()); err != nil {
		return false, err
	}
	begun, err := begunPlan(dir)
	switch {
	case err != nil:
		return false, err
	case begun != nil && begun.Code() != plan.Code():
		return false, checkMended(dir)
	case meta.ClusterID == plan.NewCluster && begun == nil:
		return false, nil
	case meta.ClusterID != plan.NewCluster:
		if err := f.mend(plan); err != nil {
			return false, err
		}
	}
	if err := os.Remove(filepath.Join(dir, mendingName)); err != nil {
		return false, err
	}
	return true, syncDir(dir)
}

// mend changes the log, and then the folder's identity.
func (f *folder) mend(plan *node.Mending) error {
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	r := f.meta.remains()
	if err := plan.Concerns(&r); err != nil {
		return err
	}
	if err := writeDurably(f.dir, mendingName, text); err != nil {
		return err
	}
	files, err := openDir(f.logDir())
	if err != nil {
		return err
	}
	defer files.close()
	r.Files = files
	if err := node.Mend(plan, &r); err != nil {
		return err
	}
	f.meta.LogCluster, f.meta.ClusterID = f.meta.logCluster(), plan.NewCluster
	return writeMeta(f.dir, f.meta)
}
