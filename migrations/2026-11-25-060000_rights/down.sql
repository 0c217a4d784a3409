drop function make_results_partition(date);
