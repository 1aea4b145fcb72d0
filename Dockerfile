# The base is an argument so that a mirror or another supported Node line can be named.
ARG NODE_IMAGE=node:22-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
RUN node node_modules/typescript/bin/tsc -p src \
 && chmod 755 dist/main.js \
 && npm prune --omit=dev --no-audit --no-fund \
 && rm -f dist/.tsbuildinfo

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="direct-gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production \
    DIRECT_GATEWAY_DATA_DIR=/data \
    DIRECT_GATEWAY_HTTP_HOST=127.0.0.1
WORKDIR /app
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/dist ./dist
COPY config ./config
COPY LICENSE README.md ./
RUN ln -s /app/dist/main.js /usr/local/bin/direct-gateway \
 && install -d -o node -g node -m 0700 /data
USER node
# The only place that is written to; the rest may be mounted read-only.
VOLUME /data
EXPOSE 2525 8080
# Alive, not ready: a gateway whose store failed is restarted, one that drains is not.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.DIRECT_GATEWAY_HTTP_PORT || 8080}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Longer than shutdown.graceSeconds must pass before a kill: docker stop --time 40.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
