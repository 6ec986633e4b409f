// The loads of bench/micro on Go: goroutines on one core (GOMAXPROCS=1). Prints "name ns" lines, each the median
// of several repetitions; bench/micro.sh puts them beside ours.
//
//	micro [-time 100ms] [-repetitions N]
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"
)

var minTime = flag.Duration("time", 100*time.Millisecond, "how long a repetition lasts at least")
var repetitions = flag.Int("repetitions", 3, "how many there are")

// A load does what it measures `count` times, and says how long that took: starting and ending stay out of it.
type load struct {
	name string
	run  func(count int) time.Duration
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// One item is one switch to the next of `goroutines`.
func yield(goroutines int) func(int) time.Duration {
	return func(count int) time.Duration {
		stop := false // one core, and only runtime.Gosched lets others run: no race
		var others sync.WaitGroup
		for i := 1; i < goroutines; i++ {
			others.Add(1)
			go func() {
				for !stop {
					runtime.Gosched()
				}
				others.Done()
			}()
		}
		runtime.Gosched() // all of them have started before the clock does
		took := timed(func() {
			for i := 0; i < count; i += goroutines {
				runtime.Gosched()
			}
		})
		stop = true
		others.Wait()
		return took
	}
}

// Goroutines that do nothing, `batch` at a time, waited for with a WaitGroup.
func spawnJoin(batch int) func(int) time.Duration {
	return func(count int) time.Duration {
		return timed(func() {
			var group sync.WaitGroup
			for i := 0; i < count; i += batch {
				group.Add(batch)
				for j := 0; j < batch; j++ {
					go group.Done()
				}
				group.Wait()
			}
		})
	}
}

// A message there and one back: two items.
func channelPingPong(count int) time.Duration {
	ping, pong := make(chan int64), make(chan int64)
	go func() {
		for value := range ping {
			pong <- value + 1
		}
	}()
	took := timed(func() {
		var value int64
		for i := 0; i < count; i += 2 {
			ping <- value
			value = <-pong
		}
	})
	close(ping)
	return took
}

func channelBuffered(count int) time.Duration {
	channel := make(chan int64, 128)
	return timed(func() {
		go func() {
			for i := 0; i < count; i++ {
				channel <- int64(i)
			}
		}()
		for i := 0; i < count; i++ {
			if <-channel != int64(i) {
				fmt.Fprintln(os.Stderr, "a message was lost")
				os.Exit(1)
			}
		}
	})
}

func mutexUncontended(count int) time.Duration {
	var mutex sync.Mutex
	return timed(func() {
		for i := 0; i < count; i++ {
			mutex.Lock()
			mutex.Unlock()
		}
	})
}

// The mutex is held across a yield, and there is another one in between. One item is a lock, an unlock and two
// yields.
func mutexContended(goroutines int) func(int) time.Duration {
	return func(count int) time.Duration {
		var mutex sync.Mutex
		var others sync.WaitGroup
		rounds := count / goroutines
		body := func() {
			for i := 0; i < rounds; i++ {
				mutex.Lock()
				runtime.Gosched()
				mutex.Unlock()
				runtime.Gosched()
			}
		}
		return timed(func() {
			for i := 1; i < goroutines; i++ {
				others.Add(1)
				go func() {
					body()
					others.Done()
				}()
			}
			body()
			others.Wait()
		})
	}
}

// How long one item takes: as many of them as fill the time, again and again, the median. In nanoseconds.
func measure(run func(int) time.Duration) float64 {
	count := 10000
	for took := run(count); took < *minTime; took = run(count) {
		factor := 1.2 * float64(*minTime) / float64(took+1)
		if factor > 10 {
			factor = 10
		}
		count = int(float64(count)*factor) + 1
	}
	var times []float64
	for i := 0; i < *repetitions; i++ {
		times = append(times, float64(run(count))/float64(count))
	}
	sort.Float64s(times)
	return times[len(times)/2]
}

func main() {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	for _, l := range []load{
		{"yield/2", yield(2)},
		{"yield/1000", yield(1000)},
		{"spawn_join/1", spawnJoin(1)},
		{"spawn_join/1000", spawnJoin(1000)},
		{"channel_ping_pong", channelPingPong},
		{"channel_buffered", channelBuffered},
		{"mutex_uncontended", mutexUncontended},
		{"mutex_contended/2", mutexContended(2)},
		{"mutex_contended/100", mutexContended(100)},
	} {
		fmt.Printf("%s %.3f\n", l.name, measure(l.run))
	}
}
