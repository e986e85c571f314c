// goroutines.go - 10,000 goroutines with channels, timers, commands and collections of garbage without pause; prints totals only
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var sink [64]atomic.Pointer[[]byte]

func main() {
	const goroutines, rounds = 10000, 20
	stop := make(chan struct{})
	var collections sync.WaitGroup
	for i := 0; i < 2; i++ {
		collections.Add(1)
		go func() {
			defer collections.Done()
			for {
				select {
				case <-stop:
					return
				default:
					runtime.GC()
				}
			}
		}()
	}
	var sum, fired, notified atomic.Int64
	signals := make(chan os.Signal, 1000)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			notified.Add(1)
		}
	}()
	var all sync.WaitGroup
	ring := make([]chan int, goroutines)
	for i := range ring {
		ring[i] = make(chan int, 1)
	}
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for r := 0; r < rounds; r++ {
				garbage := make([]byte, 100+i%1000)
				sink[i%len(sink)].Store(&garbage)
				ring[(i+1)%goroutines] <- i
				sum.Add(int64(<-ring[i]))
				if r%10 == 0 {
					time.Sleep(time.Duration(i%7) * time.Millisecond)
					fired.Add(1)
				}
				if i%1000 == 0 {
					syscall.Kill(os.Getpid(), syscall.SIGUSR1)
				}
			}
		}(i)
	}
	commands := 0
	for i := 0; i < 40; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		out, err := exec.CommandContext(ctx, "echo", fmt.Sprint(i)).Output()
		cancel()
		if err != nil || string(out) != fmt.Sprintln(i) {
			panic(fmt.Sprint(err, string(out)))
		}
		commands++
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	err := exec.CommandContext(ctx, "sleep", "100").Run()
	cancel()
	all.Wait()
	close(stop)
	collections.Wait()
	fmt.Println("sum", sum.Load(), "of", int64(goroutines)*(goroutines-1)/2*rounds, "timers", fired.Load(), "commands", commands,
		"killed", err != nil, "notified", notified.Load() > 0)
}
