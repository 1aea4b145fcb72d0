# The base is an argument: a mirror, a digest (node:22-bookworm-slim@sha256:...) or another supported line can be named.
ARG NODE_IMAGE=node:22-bookworm-slim

# The packages that run, as the lockfile says. No install script runs, so no compiler is needed: classic-level, the only
# package with machine code, brings it along and picks the right one when it loads.
FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# A registry of your own is named by the secret `npmrc`, a certification authority of your own by the secret `ca`;
# neither stays in a layer.
RUN --mount=type=secret,id=npmrc,target=/run/npm/npmrc --mount=type=secret,id=ca,target=/run/npm/ca.pem \
    if [ -s /run/npm/ca.pem ]; then export NODE_EXTRA_CA_CERTS=/run/npm/ca.pem; fi \
 && if [ -s /run/npm/npmrc ]; then export NPM_CONFIG_USERCONFIG=/run/npm/npmrc; fi \
 && npm ci --omit=dev --ignore-scripts --no-audit --no-fund
# What nothing loads at run time: types, source maps, sources of machine code, machine code for other machines. Licences stay.
RUN find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' \) -delete \
 && rm -rf node_modules/classic-level/deps node_modules/zod/src \
 && find node_modules/classic-level/prebuilds -mindepth 1 -maxdepth 1 ! -name "linux-$(node -p process.arch)" -exec rm -rf {} +

FROM packages AS build
RUN --mount=type=secret,id=npmrc,target=/run/npm/npmrc --mount=type=secret,id=ca,target=/run/npm/ca.pem \
    if [ -s /run/npm/ca.pem ]; then export NODE_EXTRA_CA_CERTS=/run/npm/ca.pem; fi \
 && if [ -s /run/npm/npmrc ]; then export NPM_CONFIG_USERCONFIG=/run/npm/npmrc; fi \
 && npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
RUN node node_modules/typescript/bin/tsc -p src --sourceMap false \
 && rm -f dist/bench.js dist/.tsbuildinfo \
 && chmod 755 dist/main.js

FROM ${NODE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="direct-gateway" \
      org.opencontainers.image.description="A Direct Project secure-messaging gateway with a patient Message Center" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The only setting of the image: a variable wins over the file, so one more here would hide what an operator writes there.
ENV NODE_ENV=production \
    DIRECT_GATEWAY_DATA_DIR=/data
WORKDIR /app
COPY --from=packages /app/package.json ./
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY config/gateway.example.yaml config/gateway.schema.json ./config/
COPY config/container/health.mjs ./config/container/
COPY LICENSE README.md ./
# Nothing installs packages or changes its user at run time. Only /data belongs to the user who runs the gateway.
RUN rm -rf /usr/local/lib/node_modules /usr/local/include/node /opt/yarn* /root/.npm \
           /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg \
 && find / -xdev -type f -perm /6000 -exec chmod ug-s {} + \
 && ln -s /app/dist/main.js /usr/local/bin/direct-gateway \
 && install -d -o 1000 -g 1000 -m 0700 /data
# A number, so that an orchestrator can see that it is not root.
USER 1000:1000
# The only place that is written to; the rest may be mounted read-only.
VOLUME /data
EXPOSE 2525 8080
# Alive, not ready: a gateway whose store failed is restarted, one that drains is not.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/config/container/health.mjs"]
# Longer than shutdown.graceSeconds must pass before a kill: docker stop --time 40.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
