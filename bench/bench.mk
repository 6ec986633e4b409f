# What each benchmark links beside webby and the libraries below it.
BENCH_LIBS_micro := -lbenchmark -lboost_fiber -lboost_context
BENCH_LIBS_memory := -lboost_fiber -lboost_context
BENCH_LIBS_sleepers := -lboost_fiber -lboost_context
BENCH_LIBS_raw_libevent := -levent_core
BENCH_LIBS_echo_libevent := -levent_core
BENCH_LIBS_echo_st := -lst
BENCH_LIBS_hello_httplib := -lcpp-httplib
BENCH_LIBS_hello_microhttpd := -lmicrohttpd

# Left out where what they compare with is not installed (build/install-deps.sh --bench).
BENCH_SKIP := $(if $(wildcard /usr/include/httplib.h),,hello_httplib) $(if $(wildcard /usr/include/microhttpd.h),,hello_microhttpd)
