package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// firstOutput measures what a person waits for: from `docker run` to the first
// byte of the container's output, on a private engine, in turns with runc.
func firstOutput(rounds int) (err error) {
	world, err := lab.New()
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, world.Close()) }()
	engine, err := world.Start(lab.Docker20, lab.Options{})
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, engine.Close()) }()
	image, err := engine.Build(lab.Image{Name: "bench"})
	if err != nil {
		return err
	}
	took := map[string][]time.Duration{}
	names := [...]string{"reference", "nemoclaw"}
	for round := range rounds + 1 {
		for _, name := range names {
			d, err := dockerRun(engine, name, image)
			if err != nil {
				return err
			}
			if round > 0 {
				took[name] = append(took[name], d)
			}
		}
	}
	base := took["reference"]
	fmt.Println("\nfrom docker run to first output")
	for _, name := range names {
		fmt.Printf("%-20s %6s ms median, %6s best, ratio %.2f, of bests %.2f\n", name,
			ms(median(took[name])), ms(slices.Min(took[name])),
			float64(median(took[name]))/float64(median(base)),
			float64(slices.Min(took[name]))/float64(slices.Min(base)))
	}
	return nil
}

func firstError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// dockerRun gives the time to the first byte; the container's removal follows
// and does not count.
func dockerRun(e *lab.Engine, runtime, image string) (time.Duration, error) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(docker, "-H", "unix://"+e.Sock(), "run", "--rm", "--runtime", runtime, image, "echo", "x")
	cmd.Env = []string{"HOME=" + e.Dir, "PATH=/usr/bin:/bin", "DOCKER_CONFIG=" + filepath.Join(e.Dir, "cli")}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	r := bufio.NewReader(out)
	_, readErr := r.ReadByte()
	took := time.Since(began)
	_, _ = io.Copy(io.Discard, r)
	if err := cmd.Wait(); err != nil {
		return took, fmt.Errorf("docker run with %s: %w", runtime, err)
	}
	return took, readErr
}
