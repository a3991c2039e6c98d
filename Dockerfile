# Flowmeter's daemon. Settings come from the environment; /app/data and /app/logs are to be kept.

# Compiles the TypeScript, with the development packages.
FROM node:20-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY devnet ./devnet
RUN npm run build

# The packages that the daemon needs at run time. This image has the compiler that SQLite's binding
# falls back to where there is no prebuilt one.
FROM node:20-bookworm AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# Empty where traces are wanted: --build-arg OMITTED=
ARG OMITTED=--omit=optional
RUN npm ci --omit=dev $OMITTED && npm cache clean --force

FROM node:20-bookworm-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=3000
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY cadence ./cadence
COPY web ./web
COPY docs/runbooks ./docs/runbooks
COPY scripts/flowmeter.mjs ./scripts/flowmeter.mjs
COPY --from=build /app/dist/src ./dist/src
# The daemon writes in these two alone, so the rest may be read-only.
RUN mkdir data logs && chown node:node data logs && ln -s /app/scripts/flowmeter.mjs /usr/local/bin/flowmeter
USER node
VOLUME ["/app/data", "/app/logs"]
EXPOSE 3000
# The process alone. Whether the work gets done is /ready, which ALLOWED_IPS guards.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and handles SIGTERM itself; it starts no other process.
CMD ["node", "dist/src/main.js", "start"]
