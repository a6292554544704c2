// Command clustertorture kills workers with SIGKILL at random while many runs
// are on Temporal, restarts the server twice, and proves that every run ends,
// that nothing is made twice or lost, and that all timelines are whole.
//
// Each environment gets one run after the other, half of them `up`, half a
// pipeline; several environments are at work at once. What is made are files
// that notice a second creation, folders of provider local and,
// with -cloud, networks, volumes and Droplets on the fake of DigitalOcean.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/gocodealone/wfctl/internal/things"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "thing" {
		os.Exit(things.Run(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.wfctl, "wfctl", "bin/wfctl-temporal", "the binary to torture")
	flag.IntVar(&o.runs, "runs", 200, "how many runs there are")
	flag.IntVar(&o.environments, "environments", 8, "how many environments are at work at once")
	flag.IntVar(&o.workers, "workers", 4, "how many workers there are")
	flag.IntVar(&o.modules, "things", 6, "how many things an environment has at most")
	flag.DurationVar(&o.heartbeat, "heartbeat", 4*time.Second, "how soon a worker that is gone is noticed")
	flag.DurationVar(&o.pause, "pause", 2500*time.Millisecond, "how long between two kills, on average")
	flag.StringVar(&o.cloud, "cloud", "", "the URL of a running fakedo: environments have resources there too")
	flag.StringVar(&o.source, "plugin", "", "where the DigitalOcean plugin comes from: what make plugin-digitalocean made, as file://FOLDER")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the random choices")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := torture(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "clustertorture:", err)
		os.Exit(1)
	}
}

type options struct {
	wfctl              string
	runs, environments int
	workers, modules   int
	heartbeat, pause   time.Duration
	cloud, source      string
	seed               uint64
}

// torture makes the world, tortures it and looks at what is left.
func torture(ctx context.Context, o options) (err error) {
	if o.wfctl, err = filepath.Abs(o.wfctl); err != nil {
		return err
	}
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("clustertorture: %d runs in %d environments on %d workers, seed %d, in %s\n", o.runs, o.environments, o.workers, o.seed, w.Dir)
	err = w.all(ctx)
	w.Close()
	if err != nil {
		return fmt.Errorf("seed %d, folder %s kept: %w", o.seed, w.Dir, err)
	}
	fmt.Printf("clustertorture: %d runs, %d workers killed, %d changes and steps taken over from them, the server restarted %d times: every run ended, nothing lost, nothing made twice, all timelines whole\n",
		w.ended.Load(), w.killed.Load(), w.taken.Load(), w.restarts.Load())
	return os.RemoveAll(w.Dir)
}
