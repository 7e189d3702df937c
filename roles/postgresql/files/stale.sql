SELECT EXISTS (SELECT FROM pg_file_settings WHERE sourcefile = %s AND error IS NOT NULL) AS restart,
       pg_conf_load_time() < greatest((pg_stat_file(%s)).modification, (pg_stat_file(%s)).modification) AS reload
