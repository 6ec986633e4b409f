# What each benchmark links beside webby and the libraries below it.
BENCH_LIBS_micro := -lbenchmark -lboost_fiber -lboost_context
BENCH_LIBS_memory := -lboost_fiber -lboost_context
BENCH_LIBS_sleepers := -lboost_fiber -lboost_context
BENCH_LIBS_raw_libevent := -levent_core
BENCH_LIBS_echo_libevent := -levent_core
BENCH_LIBS_echo_st := -lst
