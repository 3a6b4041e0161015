# One image for every unit: `docker run valence gateway`, `docker run valence users catalog`.
# It runs the TypeScript sources as they are; there is no build step.

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
	HOST=0.0.0.0 \
	PORT=3000 \
	OPS_PORT=3030 \
	LOG_FORMAT=json \
	DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
# .dockerignore lets in what runs, and nothing else.
COPY . .
# The one folder that is written to; the rest may be read-only.
RUN mkdir --mode=0700 /data && chown node:node /data
USER node
EXPOSE 3000 3030
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
	CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.OPS_PORT}/health`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "bin/node.ts"]
