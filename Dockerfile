# One image for all services: `agentcafe` serves the API, `agentcafe realtime` and `agentcafe projector` are the others.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package agentcafe

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /data agentcafe
COPY --from=build /source/target/release/agentcafe /usr/local/bin/agentcafe
USER agentcafe
# Reachable through published ports, so that it starts only with AUTH_MODE=keys or an API_AUTH_TOKEN of at least 16 bytes:
# docker run -e API_AUTH_TOKEN="$(openssl rand -hex 32)" -p 127.0.0.1:3850:3850 agentcafe
ENV AGENTCAFE_DATA_DIR=/data API_HOST=0.0.0.0
VOLUME /data
EXPOSE 3850 3851
ENTRYPOINT ["agentcafe"]
