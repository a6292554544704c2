package blob

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gocodealone/wfctl/fault"
)

// What an environment's folder holds.
const (
	entryDir    = "log/"
	snapshotDir = "snapshot/"
	probeName   = "probe"
	wipingName  = "wiping"
)

// directory is where an environment's objects are. An empty name would put
// them beside everybody's.
func directory(prefix, env string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	if env == "" {
		return "", fault.New(fault.Internal, "a state without an environment's name")
	}
	parts := []string{}
	if prefix != "" {
		parts = strings.Split(prefix, "/")
	}
	for i, part := range parts {
		if part == "" || part == "." || part == ".." {
			return "", fault.New(fault.Config, "iac.state: %q is no prefix of objects", prefix).WithHint("write it as a/b, without empty parts and dots")
		}
		parts[i] = part
	}
	for part := range strings.SplitSeq(env, "/") {
		parts = append(parts, escape(part))
	}
	return strings.Join(parts, "/") + "/", nil
}

// escape keeps a name apart from every other one in any store: also where
// case does not count, and where only plain characters are allowed. It ends a
// name with what no folder of ours has, so that an environment "a/log" is not
// inside the log of "a".
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		plain := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	switch b.String() {
	case "", strings.TrimSuffix(entryDir, "/"), strings.TrimSuffix(snapshotDir, "/"), probeName, wipingName:
		b.WriteByte('=')
	}
	return b.String()
}

// digits make numbers sort as text, and be told from anything else.
const digits = 20

func (d *driver) entryKey(seq uint64) string {
	return fmt.Sprintf("%s%s%0*d", d.dir, entryDir, digits, seq)
}
func (d *driver) snapshotKey(seq uint64) string {
	return fmt.Sprintf("%s%s%0*d", d.dir, snapshotDir, digits, seq)
}

// numbers lists a folder, in order.
func (d *driver) numbers(ctx context.Context, dir string) ([]uint64, error) {
	var list []uint64
	for name, err := range d.bucket.List(ctx, dir) {
		if err != nil {
			return nil, err
		}
		if n, err := strconv.ParseUint(name, 10, 64); err == nil && len(name) == digits {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

// floor is the newest snapshot's number, 0 for none.
func (d *driver) floor(ctx context.Context) (uint64, error) {
	list, err := d.numbers(ctx, d.dir+snapshotDir)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[len(list)-1], nil
}
