// tasks.go - libocrun from Go by cgo: tasks that run C functions, joined from goroutines
//
// Build with CGO_CFLAGS and CGO_LDFLAGS as pkg-config --cflags and --libs ocrun print them.
package main

/*
#include <errno.h>
#include <ocrun/ocrun.h>
#include <unistd.h>

static void* square(void* n) {
	usleep(1000);
	return (void*)((long)n * (long)n);
}
static void* sleeps(void* unused) {
	sleep(1000000);
	return unused;
}
static oc_task* start_square(long n) { return oc_task_create(square, (void*)n, 0); }
static oc_task* start_sleep(void) { return oc_task_create(sleeps, 0, 0); }
static int start(void) {
	oc_config config = OC_CONFIG_INIT;
	config.mode = OC_MODE_PREFER_OCRUN;
	return oc_init(&config);
}
static int join(oc_task* task, long* value) {
	void* v = 0;
	int r = oc_task_join(task, &v);
	*value = (long)v;
	oc_task_drop(task);
	return r;
}
*/
import "C"

import (
	"fmt"
	"os"
	"sync"
)

func must(what string, got, want int) {
	if got != want {
		fmt.Fprintf(os.Stderr, "%s: %d, not %d\n", what, got, want)
		os.Exit(1)
	}
}

func main() {
	must("oc_init", int(C.start()), 0)
	var wait sync.WaitGroup
	for n := 0; n < 200; n++ {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			var value C.long
			must("join", int(C.join(C.start_square(C.long(n)), &value)), 0)
			must("value", int(value), n*n)
		}(n)
	}
	wait.Wait()
	task := C.start_sleep()
	must("timeout", int(C.oc_task_timeout_join(task, 5000000, nil)), -int(C.ETIMEDOUT))
	C.oc_task_cancel(task)
	var value C.long
	must("cancelled", int(C.join(task, &value)), -int(C.ECANCELED))
	must("oc_stop", int(C.oc_stop(C.OC_FOREVER)), 0)
	fmt.Println("done")
}
