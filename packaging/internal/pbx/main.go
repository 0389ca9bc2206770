package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"calljournal/connectors/replay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pbx:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: pbx USER SECRET")
	}
	recordings, err := replay.Demo(replay.Asterisk)
	if err != nil {
		return err
	}
	programme, err := replay.Loop(recordings, time.Second, 1)
	if err != nil {
		return err
	}
	s, err := replay.Listen(replay.Asterisk, programme, replay.Options{User: args[0], Secret: args[1], Speed: 4})
	if err != nil {
		return err
	}
	fmt.Println(s.Addr())
	return s.Run(ctx)
}
