// PM2: `pm2 start ecosystem.config.cjs`. The daemon reads .env in this folder by itself.
module.exports = {
  apps: [
    {
      name: 'flare-connector',
      script: 'dist/src/main.js',
      args: 'start',
      cwd: __dirname,
      // One daemon a store and a meter: a second one is refused.
      exec_mode: 'fork',
      instances: 1,
      // The daemon gives itself 20 s to stop; PM2's own 1.6 s would cut it off.
      kill_timeout: 30_000,
      // 78: the settings, or the identity of store and chains, are wrong. No restart mends that.
      stop_exit_codes: [78],
      // 1 s after the first failure, then longer and longer, 15 s at most.
      exp_backoff_restart_delay: 1_000,
      // The log is in logs/connector.log, rotated; PM2's own copy would grow without end. `pm2 logs`
      // still shows it while it runs. What Node itself says while dying is kept.
      out_file: '/dev/null',
      error_file: 'logs/pm2-error.log',
      merge_logs: true,
      // No code of PM2's own inside the process: its listener would keep a stopped daemon alive.
      pmx: false,
    },
  ],
}
